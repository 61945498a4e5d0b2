import dataclasses
import json
from pathlib import Path

import pytest
import torch

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.model import UNetConfig
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.diffusion.denoising_errors import LEVELS, denoising_errors, derangement
from sdmodel.diffusion.generate import TextToImage, load
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.train.optim.optimizers import optimizers

CONFIG = TrainConfig(
    size=8,
    caption_dropout=0.25,
    text=TextConfig(width=16, heads=2, queries=2, length=8, vocabulary=300),
    unet=UNetConfig(channels=(8, 16), heads=2, condition=16, fine=4),
)
CAPTIONS = ["a red half", "a blue half"]
COLOURS = torch.tensor([[0.8, -0.8, -0.8], [-0.8, -0.8, 0.8]])


def batch(rows: int, start: int = 0, end: int | None = None) -> Batch:
    """Rows `start` to `end` of a global batch of plain images, red and blue in turn, and what they show."""
    index = torch.arange(rows)[start:end]
    which = index % 2
    images = COLOURS[which][:, :, None, None].repeat(1, 1, 8, 8)
    captions = [CAPTIONS[i] for i in which]
    return Batch(images=images, captions=captions, uids=captions, index=index, size=rows, start=start)


def objective(std: float = 0.0) -> DiffusionObjective:
    """With initial weights, or all of deviation `std`: none is zero then, as after a few steps."""
    torch.manual_seed(0)
    made = DiffusionObjective(CONFIG, CAPTIONS * 4)
    for parameter in made.modules.parameters():
        if std:
            torch.nn.init.normal_(parameter, std=std)
    return made


def loss(made: DiffusionObjective, rows: Batch, seed: int = 0) -> torch.Tensor:
    return made.modules(dataclasses.replace(rows, seed=seed))["denoising"]


def saved(made: DiffusionObjective, folder: Path) -> Path:
    folder.mkdir()
    made.save(
        folder,
        {
            name: value.clone(memory_format=torch.contiguous_format)
            for name, value in made.modules.state_dict().items()
        },
    )
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TextToImage:
    """A minute model after 150 batches of two plain colours."""
    made = objective()
    opts = optimizers(made.modules, OptimizerConfig(muon_rate=0.02, adam_rate=0.01).optimization(16))
    for step in range(150):
        loss(made, batch(16), seed=step).backward()
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = (0.02, 0.01)[opt is opts[1]] * (1 - step / 150)
            opt.step()
            opt.zero_grad()
    return load(saved(made, tmp_path_factory.mktemp("diffusion") / "model"))


def test_processes_share_one_loss():
    made = objective(std=0.3)
    halves = [loss(made, batch(8, 0, 4)), loss(made, batch(8, 4, 8))]
    torch.testing.assert_close(torch.stack(halves).mean(), loss(made, batch(8)))
    assert loss(made, batch(8), seed=1) != loss(made, batch(8))


def test_every_weight_has_a_gradient():
    made = objective(std=0.3)
    loss(made, batch(8)).backward()
    assert [n for n, p in made.modules.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


@pytest.mark.slow
def test_captions_decide_the_colour(trained: TextToImage):
    images = trained.sample(CAPTIONS * 2, [1, 2, 3, 4], SamplingConfig(steps=6))
    assert (images.mean((2, 3)) - COLOURS.repeat(2, 1)).abs().max() < 0.3


@pytest.mark.slow
def test_errors_tell_captions_from_shuffled_ones(trained: TextToImage):
    rows = batch(8)
    errors = denoising_errors(trained, rows.images, rows.captions)
    assert len(errors["levels"]) == LEVELS
    assert errors["mse_shuffled"] > 1.2 * errors["mse"]
    assert errors["levels"][0]["mse"] > errors["levels"][-1]["mse"]
    assert errors["r2"] == pytest.approx(1 - errors["mse"] / rows.images.var(correction=0).item())
    assert errors == denoising_errors(trained, rows.images, rows.captions)
    with pytest.raises(ValueError, match="1 images and 1 captions"):
        denoising_errors(trained, rows.images[:1], rows.captions[:1])


@pytest.mark.slow
def test_an_image_depends_on_its_caption_and_seed_alone(trained: TextToImage):
    told: list[tuple[int, int]] = []
    together = trained.sample(
        CAPTIONS, [1, 2], SamplingConfig(steps=3), progress=lambda done, total: told.append((done, total))
    )
    torch.testing.assert_close(trained.sample(CAPTIONS[1:], [2], SamplingConfig(steps=3)), together[1:])
    assert together.abs().max() <= 1
    assert told[-1] == (2, 2)
    with pytest.raises(ValueError, match="2 captions and 1 seeds"):
        trained.sample(CAPTIONS, [1])


def test_a_model_folder_holds_all(tmp_path: Path):
    made = objective()
    folder = saved(made, tmp_path / "model")
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()) == [
        "config.json",
        "model.safetensors",
        "text/0/config.json",
        "text/0/model.safetensors",
        "text/0/tokenizer.json",
    ]
    again = DiffusionObjective(CONFIG, ["other captions"])
    again.start(folder)
    torch.testing.assert_close(loss(again, batch(4)), loss(made, batch(4)))


def test_a_start_keeps_the_schedule_and_prediction_that_it_was_taught(tmp_path: Path):
    config = dataclasses.replace(CONFIG, noise=NoiseConfig(schedule="linear", prediction="v", loss="x0"))
    folder = saved(DiffusionObjective(config, CAPTIONS), tmp_path / "model")
    assert (
        load(folder).model.process.described()
        == DiffusionObjective(config, CAPTIONS).modules.process.described()
    )
    again = DiffusionObjective(CONFIG, CAPTIONS)
    again.start(folder)
    process = again.modules.process
    assert (process.schedule.discrete, process.prediction, process.loss) == (True, "v", "v")
    same = DiffusionObjective(config, CAPTIONS)
    same.start(folder)
    assert same.modules.process.loss == "x0"
    other = dataclasses.replace(CONFIG, noise=NoiseConfig(schedule="flow", prediction="v"))
    with pytest.raises(ValueError, match=r"train\.noise\.schedule='flow' .* leave it out"):
        DiffusionObjective(other, CAPTIONS).start(folder)


def test_other_models_are_refused(tmp_path: Path):
    made = objective()
    folder = saved(made, tmp_path / "model")
    wide = dataclasses.replace(CONFIG, unet=UNetConfig(channels=(16, 16)))
    with pytest.raises(ValueError, match="must agree"):
        DiffusionObjective(wide, CAPTIONS).start(folder)
    with pytest.raises(ValueError, match=r"no config\.json"):
        load(tmp_path)
    (folder / "config.json").write_text(json.dumps({"kind": "clip"}))
    with pytest.raises(ValueError, match="'clip'"):
        load(folder)


def test_a_derangement_leaves_none_at_its_place():
    for n in (2, 3, 17):
        order = derangement(n, torch.Generator().manual_seed(n))
        assert sorted(order) == list(range(n))
        assert all(i != place for place, i in enumerate(order))
