"""`sdflow generate --image`: a picture as a prompt, with a caption or alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sdmodel.config.conditions import ConditionsConfig
from sdmodel.config.picture import PictureConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.pixels import to_float, to_uint8
from sdmodel.diffusion.generate import load
from sdmodel.objectives import objective_of
from stages.artifacts.artifact import Funnel
from stages.artifacts.reference import refer, resolve
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store, open_store
from tests.flows.cli.models.test_generate import CONFIG, pixels

Told = Callable[..., tuple[int, str, str]]
PICTURE = ConditionsConfig(picture=PictureConfig(source="reference", join=("token", "channels")), width=4)


def written(objective: object, folder: Path) -> None:
    """A model folder with random weights."""
    modules = objective.modules  # type: ignore[attr-defined]
    for parameter in modules.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    weights = {name: value.contiguous() for name, value in modules.state_dict().items()}
    objective.save(folder, weights)  # type: ignore[attr-defined]


@stage(version=1, kind="model", name="train")
def _model(config: TrainConfig, out: Output) -> Stats:
    torch.manual_seed(0)
    encoder = out.folder / "encoder"
    encoder.mkdir()
    eyes = replace(config, objective="selfsupervised", conditions=ConditionsConfig(), encoder="")
    written(objective_of(eyes, []), encoder)
    objective = objective_of(config, ["a red square"], encoder=encoder)
    written(objective, out.write("model/any").parent)
    return Stats(Funnel(1, 1), {"objective": "diffusion"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    opened = open_store(str(tmp_path_factory.mktemp("images") / "store"))
    tiny = replace(CONFIG, selfsupervised=SelfSupervisedConfig(width=4))
    shown = replace(tiny, conditions=PICTURE, encoder="models/eyes")
    for name, config in {"plain": tiny, "shown": shown}.items():
        refer(opened, f"models/{name}", _model(config, store=opened))
    return opened


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a picture of two halves as it is, and stored on its side as cameras do."""
    monkeypatch.chdir(tmp_path)
    halves = np.zeros((12, 8, 3), np.uint8)
    halves[:6], halves[6:] = (250, 20, 20), (20, 20, 250)
    upright = Image.fromarray(halves)
    upright.save("ref.png")
    turned, exif = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6
    turned.save("turned.png", exif=exif)
    return tmp_path


@pytest.mark.parametrize("captions", [(), ("a red square", "two owls")])
def test_an_image_is_a_prompt_beside_captions_or_alone(
    sdflow: Told, store: Store, here: Path, captions: tuple[str, ...]
):
    prompt = ("generate", "models/shown", *captions, "--seeds", "5", "--store", store.url)
    guided = ("--image-guidance", "4", "--steps", "2")
    for name in ("ref", "turned"):
        status, _, error = sdflow(*prompt, "--image", f"{name}.png", *guided, "--out", f"{name}/")
        assert status == 0, error
    model = load(resolve(store, "models/shown").lay("model/", here / "model"))
    texts = list(captions) or [""]
    with Image.open("ref.png") as picture:
        shown = to_float(np.asarray(picture).copy()).permute(2, 0, 1)
    sampling = SamplingConfig(steps=2, conditions={"picture": 4.0})
    expected = model.sample(texts, [5] * len(texts), sampling, pictures=[shown] * len(texts))
    paths = sorted((here / "ref").iterdir()), sorted((here / "turned").iterdir())
    for upright, turned, drawn in zip(*paths, to_uint8(expected), strict=True):
        assert torch.equal(pixels(upright), drawn.permute(1, 2, 0))
        assert torch.equal(pixels(turned), pixels(upright))
        with Image.open(upright) as written_picture:
            assert json.loads(written_picture.text["conditions"]) == {"picture": "ref.png"}  # pyright: ignore
    without = model.sample(texts, [5] * len(texts), sampling)
    assert not torch.allclose(without, expected, atol=1e-2)


@pytest.mark.parametrize(
    ("model", "image", "message"),
    [
        ("plain", "ref.png", "models/plain was taught no pictures beside captions; train a model with"),
        ("shown", "none.png", "--image none.png cannot be read: No such file or directory"),
        ("shown", "words.png", "--image words.png is no picture that can be shown"),
        ("shown", ".", "--image . cannot be read: it is a folder, no regular file"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_line(
    sdflow: Told, store: Store, here: Path, model: str, image: str, message: str
):
    (here / "words.png").write_text("no picture")
    status, _, error = sdflow("generate", f"models/{model}", "a bird", "--image", image, "--store", store.url)
    assert status == 2
    assert message in error
    assert not (here / "grid.png").exists()
