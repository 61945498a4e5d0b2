"""`sdflow generate` with a model that reads no captions."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from sdmodel.config.gan import GanConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.pixels import to_uint8
from sdmodel.gan.folder import load
from sdmodel.gan.objective import GanObjective
from stages.artifacts.artifact import Funnel
from stages.artifacts.reference import refer, resolve
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store, open_store
from tests.flows.cli.models.test_generate import pixels

Told = Callable[..., tuple[int, str, str]]
CONFIG = TrainConfig(objective="gan", size=8, batch=8, gan=GanConfig(latent=4, channels=4))


@stage(version=1, kind="model", name="train")
def _model(config: TrainConfig, out: Output) -> Stats:
    torch.manual_seed(0)
    objective = GanObjective(config)
    weights = {name: value.contiguous() for name, value in objective.modules.state_dict().items()}
    objective.save(out.write("model/any").parent, weights)
    return Stats(Funnel(1, 1), {"objective": "gan"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    opened = open_store(str(tmp_path_factory.mktemp("generate") / "store"))
    refer(opened, "models/gan", _model(CONFIG, store=opened))
    return opened


@pytest.fixture
def generate(sdflow: Told, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Run the command on the store: status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: sdflow("generate", "models/gan", *arguments, "--store", store.url)


def test_pictures_are_drawn_of_seeds_alone(generate: Told, store: Store, tmp_path: Path):
    assert generate("--seeds", "5,7", "--out", "drawn/")[:2] == (0, "drawn/0000-5.png\ndrawn/0001-7.png\n")
    model = load(resolve(store, "models/gan").lay("model/", tmp_path / "model"))
    expected = to_uint8(model.sample(["", ""], [5, 7])).permute(0, 2, 3, 1)
    for picture, name in zip(expected, ("0000-5.png", "0001-7.png"), strict=True):
        assert torch.equal(pixels(tmp_path / "drawn" / name), picture)
    with Image.open(tmp_path / "drawn/0001-7.png") as picture:
        picture.load()
        assert picture.info["seed"] == "7"
        assert picture.info["model"].startswith("models/gan ")
        assert "sampling" not in picture.info


def test_a_grid_has_them_all_in_a_row(generate: Told, tmp_path: Path):
    assert generate("--count", "3", "--out", "grid.png")[:2] == (0, "grid.png\n")
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.width > 3 * 128
        assert picture.info["seed"] == "0, 1, 2"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a red circle"], "models/gan draws without captions; leave them out"),
        (["--steps", "3"], "leave how to sample out"),
        (["--size", "16", "--autoguidance", "models/gan"], "leave --size and --autoguidance out"),
        (["--count", "0"], "at least 1"),
    ],
)
def test_what_it_does_not_read_is_refused(generate: Told, tmp_path: Path, arguments: list[str], words: str):
    status, out, error = generate(*arguments)
    assert (status, out) == (2, "")
    assert words in error
    assert not list(tmp_path.glob("*.png"))
