"""Text encoders in a denoiser: pretrained or not, frozen, slow or joint, one or several."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.model import UNetConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import TextConfig, TextKind
from sdmodel.config.train import TrainConfig
from sdmodel.diffusion.generate import load as load_sampler
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.text import build
from sdmodel.train.loop import train
from sdmodel.train.prepare import prepare
from sdmodel.train.profile import random_latents, random_pictures
from tests import frozen
from tests.sdmodel.golden.tiny import job

TEXT = TextConfig(width=16, heads=2, queries=2, length=12, vocabulary=300)
CONFIG = TrainConfig(
    images=64,
    batch=8,
    size=8,
    checkpoint_every=32,
    device="cpu",
    text=TEXT,
    unet=UNetConfig(channels=(8, 16)),
    optimizer=OptimizerConfig(warmup=8),
)


def pretrained(folder: Path, kind: TextKind) -> Path:
    folder.mkdir(parents=True)
    torch.manual_seed(7)
    encoder = build.learn(replace(TEXT, kind=kind), ["a red circle", "a blue square"] * 3)
    encoder.save(folder, encoder.state_dict())
    return folder


def trained(dataset, config: TrainConfig, folder: Path, texts: list[Path | None]) -> Path:
    """A model folder, as a training leaves it."""
    accelerator = Accelerator(cpu=True)
    prepared = prepare(replace(job(folder, dataset, config), texts=tuple(texts)), accelerator)
    weights = train(prepared.objective, prepared.stream, config, accelerator, folder, lambda _: None)
    assert weights is not None
    (folder / "model").mkdir()
    prepared.objective.save(folder / "model", weights)
    return folder / "model"


def test_frozen_and_pretrained_beside_one_from_nothing(dataset, tmp_path: Path):
    start = pretrained(tmp_path / "gru", "gru")
    text, other = replace(TEXT, kind="gru", rate=0.0), replace(TEXT, kind="cnn", width=12)
    config = replace(CONFIG, text=text, texts=(other,))
    model = trained(dataset, config, tmp_path / "run", [start, None])

    # What is frozen is as it was, and no checkpoint carries it; the other has learned.
    before, after = (load_file(folder / "model.safetensors") for folder in (start, model / "text/0"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    (newest,) = (tmp_path / "run/checkpoints").glob("000000064")
    kept = load_file(newest / "model.safetensors")
    assert not any(name.startswith("text.encoders.0.") for name in kept)
    assert any(name.startswith("text.encoders.1.") for name in kept)

    # The model draws, and each encoder is one to start from.
    drawn = load_sampler(model).sample(["a red circle"], [0], SamplingConfig(steps=2))
    assert drawn.shape == (1, 3, 8, 8)
    assert drawn.isfinite().all()
    again = build.load(model / "text/1", replace(other, rate=0.5))
    assert (again.config.kind, again.config.rate, again.width) == ("cnn", 0.5, 12)
    trained(dataset, config, tmp_path / "next", [model / "text/0", model / "text/1"])


def test_the_slower_the_rate_the_less_an_encoder_moves(dataset, tmp_path: Path):
    start = pretrained(tmp_path / "rnn", "rnn")
    before = load_file(start / "model.safetensors")
    moved: list[float] = []
    for rate in (1.0, 0.1):
        config = replace(CONFIG, text=replace(TEXT, kind="rnn", rate=rate))
        model = trained(dataset, config, tmp_path / f"run-{rate}", [start])
        after = load_file(model / "text/0/model.safetensors")
        moved.append(sum(float((after[name] - before[name]).square().sum()) for name in before) ** 0.5)
    assert 0 < moved[1] < moved[0] / 3


def test_ones_own_rates_go_before_the_encoders():
    config = replace(
        CONFIG,
        text=replace(TEXT, rate=0.1),
        texts=(replace(TEXT, rate=0.0), TEXT),
        optimizer=OptimizerConfig(rates={"text.encoders.0.": 0.5}, frozen=("network.",)),
    )
    assert config.learning.rates == {"text.encoders.0.": 0.5}
    assert config.learning.frozen == ("network.", "text.encoders.1.")
    assert replace(config, objective="selfsupervised", texts=()).learning == config.optimizer.optimization(
        config.batch
    )


def test_a_folder_of_another_kind_is_refused(dataset, tmp_path: Path):
    start = pretrained(tmp_path / "rnn", "rnn")
    with pytest.raises(ValueError, match=r'holds rnn; text\.kind="lstm" needs one of its own kind'):
        trained(dataset, replace(CONFIG, text=replace(TEXT, kind="lstm")), tmp_path / "run", [start])


def test_what_is_frozen_has_no_dropout_when_a_model_goes_on(dataset, tmp_path: Path):
    config = replace(CONFIG, text=replace(TEXT, dropout=0.5, rate=0.0))
    model = trained(dataset, config, tmp_path / "run", [None])
    objective = DiffusionObjective(config, ["a red circle"] * 3, starting=True)
    objective.start(model)
    objective.modules.train()
    with torch.no_grad():
        told = [objective.modules.text.encode_captions(["a red circle"]).states for _ in range(2)]
    assert torch.equal(*told)


def test_rates_are_of_encoders_that_the_config_describes(tmp_path: Path):
    frozen.text_encoder(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    path, _ = random_pictures.write(data, 8, CONFIG.size)
    random_latents.write(tmp_path, path, CONFIG, length=6)
    slow = replace(CONFIG, text=replace(TEXT, rate=0.1))
    with pytest.raises(ValueError, match=r"text\.rate=0\.1 .* cached states learn nothing"):
        DiffusionObjective(slow, ["a red circle"] * 3, tmp_path)
