"""`sdflow generate`: a grid or files of what is asked, and one clear line where that cannot be."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from flows.run import terminal
from sdmodel.conditions.class_column import ClassLayout
from sdmodel.config.conditions import ClassColumnConfig, ConditionsConfig
from sdmodel.config.model import DiTConfig, UNetConfig
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.pixels import to_uint8
from sdmodel.diffusion.generate import load
from sdmodel.objectives import objective_of
from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.reference import refer, resolve
from stages.output import Output
from stages.report.png import file_name
from stages.stage import Stats, stage
from stages.store import Store, open_store

Told = Callable[..., tuple[int, str, str]]
CONFIG = TrainConfig(
    size=8,
    network="dit",
    dit=DiTConfig(width=8, layers=1, heads=1, patch=4),
    unet=UNetConfig(channels=(8,)),
    text=TextConfig(width=8, heads=1, queries=1, length=8),
    sampling=SamplingConfig(steps=2, guidance=3.0),
)


@stage(version=1, kind="model", name="train")
def _model(config: TrainConfig, out: Output) -> Stats:
    """Random weights, by the config's seed."""
    torch.manual_seed(config.seed)
    colour = ClassLayout("colour", 2.0, ("blue", "red"), False)
    layouts = [colour] if config.conditions.names else []
    objective = objective_of(config, ["a red square", "two blue owls"], conditions=layouts)
    for parameter in objective.modules.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    weights = {
        name: value.clone(memory_format=torch.contiguous_format)
        for name, value in objective.modules.state_dict().items()
    }
    objective.save(out.write("model/any").parent, weights)
    return Stats(Funnel(1, 1), {"objective": "diffusion"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    opened = open_store(str(tmp_path_factory.mktemp("generate") / "store"))
    models = {
        "tiny": CONFIG,
        "weak": replace(CONFIG, seed=1),
        "square": replace(CONFIG, network="unet"),
        "other": replace(CONFIG, noise=NoiseConfig(prediction="v")),
        "coloured": replace(
            CONFIG, conditions=ConditionsConfig(columns=(ClassColumnConfig(column="colour"),), width=4)
        ),
    }
    for name, config in models.items():
        refer(opened, f"models/{name}", _model(config, store=opened))
    return opened


@pytest.fixture
def sdflow(sdflow: Told, store: Store) -> Told:
    """Run a command on the store: status, standard output, standard error."""
    return lambda *arguments: sdflow(*arguments, "--store", store.url)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def drawn(store: Store, folder: Path, caption: str, seed: int, **chosen: object) -> torch.Tensor:
    """What the model itself draws, (H, W, 3) uint8."""
    model = load(resolve(store, "models/tiny").lay("model/", folder))
    size = chosen.pop("size", None)
    sampling = SamplingConfig(**chosen)  # pyright: ignore[reportArgumentType]
    return to_uint8(model.sample([caption], [seed], sampling, size=size))[0].permute(1, 2, 0)  # pyright: ignore


def pixels(path: Path) -> torch.Tensor:
    with Image.open(path) as picture:
        return torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(
            picture.height, picture.width, 3
        )


def test_a_grid_has_a_row_for_each_caption(sdflow: Told, here: Path):
    status, out, error = sdflow("generate", "models/tiny", "a red square", "two owls", "--count", "3")
    assert (status, out) == (0, "grid.png\n"), error
    assert "100.0% of 2 captions have more than the 8 tokens that are read of one" in error
    with Image.open(here / "grid.png") as grid:
        assert grid.width == 3 * 128 + 4 * 8
        assert grid.height > 2 * 128
        assert grid.text["caption"] == "a red square\ntwo owls"  # pyright: ignore
        assert grid.text["seed"] == "0, 1, 2"  # pyright: ignore
    assert [path.name for path in here.iterdir()] == ["grid.png"]


def test_a_folder_has_a_file_for_each_picture(sdflow: Told, store: Store, here: Path):
    status, out, error = sdflow(
        *("generate", "models/tiny", "A red square!", "Füchse/../..", "--seeds", "7,3", "--out", "new/"),
        *("--steps", "3", "--sampler", "heun", "--guidance", "2", "--interval", "0.1", "0.7"),
        *("--rescale", "0.5", "--negative", "two owls", "--size", "12x8"),
    )
    names = ["0000-7-a-red-square.png", "0001-3-a-red-square.png", "0002-7-fuchse.png", "0003-3-fuchse.png"]
    assert (status, out.split()) == (0, [f"new/{name}" for name in names]), error
    assert sorted(path.name for path in (here / "new").iterdir()) == names
    chosen = {"sampler": "heun", "steps": 3, "guidance": 2.0, "interval": (0.1, 0.7), "rescale": 0.5}
    chosen |= {"negative": "two owls", "size": (8, 12)}
    expected = drawn(store, here / "model", "A red square!", 3, **chosen)
    assert (pixels(here / "new" / names[1]).int() - expected.int()).abs().max() <= 1
    with Image.open(here / "new" / names[1]) as picture:
        assert picture.size == (12, 8)
        text = dict(picture.text)  # pyright: ignore
    assert (text["caption"], text["seed"]) == ("A red square!", "3")
    assert text["model"] == f"models/tiny {resolve(store, 'models/tiny').short_name}"
    del chosen["size"]
    assert json.loads(text["sampling"]) == chosen | {"interval": [0.1, 0.7]}


def test_what_is_not_told_is_the_models(sdflow: Told, store: Store, here: Path):
    status, _, error = sdflow("generate", "models/tiny", "a", "--seed", "5", "--count", "1", "--out", "new/")
    assert status == 0, error
    (path,) = (here / "new").iterdir()
    with Image.open(path) as picture:
        told = json.loads(picture.text["sampling"])  # pyright: ignore
    assert (told["steps"], told["guidance"], told["sampler"]) == (2, 3.0, "dpm++2m")
    assert (pixels(path).int() - drawn(store, here / "model", "a", 5).int()).abs().max() <= 1


@pytest.mark.parametrize("standard_input", [False, True])
def test_captions_come_from_a_file(
    sdflow: Told, here: Path, monkeypatch: pytest.MonkeyPatch, standard_input: bool
):
    data = "\ufeffa red square\r\n\n  two owls \n".encode()
    (here / "captions.txt").write_bytes(data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    file = "-" if standard_input else "captions.txt"
    status, out, error = sdflow(
        "generate", "models/tiny", "one more", "--captions", file, "--count", "1", "--out", "new/"
    )
    assert status == 0, error
    assert out.split() == [
        "new/0000-0-one-more.png",
        "new/0001-0-a-red-square.png",
        "new/0002-0-two-owls.png",
    ]


def test_autoguidance_changes_what_is_drawn(sdflow: Told, here: Path):
    options = ("a red square", "--count", "1", "--size", "8")
    for folder, more in (("plain/", ()), ("led/", ("--autoguidance", "models/weak"))):
        status, _, error = sdflow("generate", "models/tiny", *options, "--out", folder, *more)
        assert status == 0, error
    name = "0000-0-a-red-square.png"
    assert not torch.equal(pixels(here / "plain" / name), pixels(here / "led" / name))


def test_what_lies_in_a_pictures_place_is_replaced_not_followed(sdflow: Told, here: Path):
    (here / "new").mkdir()
    (here / "precious").write_text("mine")
    (here / "new" / "0000-0-a.png").symlink_to(here / "precious")
    assert sdflow("generate", "models/tiny", "a", "--count", "1", "--out", "new")[0] == 0
    assert (here / "precious").read_text() == "mine"
    with Image.open(here / "new" / "0000-0-a.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("caption", "name"),
    [
        ("../../etc/passwd", "0003-9-etc-passwd.png"),
        ("", "0003-9.png"),
        ("赤い丸", "0003-9.png"),
        ("CON\n\x1b[2J a\x00b", "0003-9-con-2j-a-b.png"),
        ("word " * 1000, "0003-9-word-word-word-word-word-word-word-word-word-wor.png"),
    ],
)
def test_names_of_files_are_safe(caption: str, name: str):
    assert file_name(3, 9, caption) == name
    assert Path(name).name == name


def test_long_work_shows_its_progress(sdflow: Told, here: Path, monkeypatch: pytest.MonkeyPatch):
    quick = ("generate", "models/tiny", "a", "--count", "1", "--steps", "2", "--out", "new/")
    assert "generate" not in sdflow(*quick)[2]
    monkeypatch.setattr(terminal, "SOON", 0.0)
    assert "generate  0/1" in sdflow(*quick)[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "--size", "9"], ["9x9", "multiples of 4"]),
        (["a", "--size", "8 by 8"], ["--size 8 by 8", "48x32"]),
        (["a", "--size", "0x8"], ["--size 0x8"]),
        (["a", "--steps", "0"], ["steps=0", "at least 1"]),
        (["a", "--sampler", "plms"], ["plms", "dpm++2m"]),
        (["a", "--interval", "0.7", "0.1"], ["interval", "earlier time"]),
        (["a", "--rescale", "2"], ["rescale=2"]),
        (["a", "--seeds", "1,-2"], ["--seeds 1,-2", "0,1,2"]),
        (["a", "--seeds", "1", "--count", "2"], ["leave --seed and --count out"]),
        (["a", "--seed", "-1"], ["--seed -1"]),
        (["a", "--count", "0"], ["--count 0", "at least 1"]),
        (["a", "--count", "1001"], ["1,001 pictures", "name a folder"]),
        (["a", "--count", "999999999999", "--out", "new/"], ["too many"]),
        (["a" * 10_001], ["10,001 characters"]),
        (["a", "--out", "grid.jpg"], ["--out grid.jpg", ".png"]),
        (["a", "--out", "none/grid.png"], ["there is no folder none"]),
        (["--captions", "none.txt"], ["--captions none.txt cannot be read"]),
        (["--captions", "empty.txt"], ["holds no caption"]),
        (["--captions", "latin.txt"], ["no text in UTF-8"]),
        (["--captions", "/dev/zero"], ["--captions /dev/zero"]),
        (["a", "--autoguidance", "models/none"], ["models/none"]),
        (["a", "--autoguidance", "models/other"], ["models/other differs from models/tiny in noise"]),
        (["a", "--autoguidance", "models/weak", "--negative", "b"], ["leave the other out"]),
    ],
)
def test_wrong_input_is_one_line_before_anything_is_loaded(
    sdflow: Told, here: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
):
    (here / "empty.txt").write_text("\n \n")
    (here / "latin.txt").write_bytes(b"caf\xe9")
    monkeypatch.setattr(Artifact, "lay", lambda *_: pytest.fail("a model was loaded"))
    status, out, error = sdflow("generate", "models/tiny", *arguments)
    assert (status, out) == (2, "")
    assert error.startswith("sdflow: ")
    assert len(error.splitlines()) == 1
    for word in words:
        assert word in error
    assert not list(here.glob("*.png"))
    assert not (here / "new").exists()


def test_sizes_that_do_not_fit_the_network_are_refused(sdflow: Told, here: Path):
    status, _, error = sdflow("generate", "models/square", "a", "--size", "13x8")
    assert status == 2
    assert "13x8 pixels" in error
    assert "sides that are multiples of" in error
    assert sdflow("generate", "models/square", "a", "--size", "8", "--count", "1")[0] == 0


def test_a_condition_is_asked_for_beside_the_caption_or_alone(sdflow: Told, store: Store, here: Path):
    model = load(resolve(store, "models/coloured").lay("model/", here / "model"))
    for captions in ([], ["two owls"]):
        status, _, error = sdflow(
            *("generate", "models/coloured", *captions, "--seed", "5", "--count", "1", "--out", "new.png"),
            *("--condition", "colour=red", "--condition-guidance", "colour=4"),
        )
        assert status == 0, error
        sampling = SamplingConfig(conditions={"colour": 4.0})
        expected = model.sample(captions or [""], [5], sampling, conditions={"colour": ["red"]})
        with Image.open(here / "new.png") as grid:
            shown = torch.tensor(list(grid.crop((8, 8, 136, 136)).resize((8, 8), 0).getdata()))  # pyright: ignore
            text = dict(grid.text)  # pyright: ignore
        ours = to_uint8(expected)[0].permute(1, 2, 0).reshape(-1, 3)
        assert (shown.int() - ours.int()).abs().max() <= 1
        assert json.loads(text["conditions"]) == {"colour": "red"}
        assert json.loads(text["sampling"])["conditions"] == {"colour": 4.0}


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("coloured", ["--condition", "colour=green"], "no class 'green'; it knows 'blue', 'red'"),
        ("coloured", ["--condition", "shape=owl"], "no condition 'shape'; it knows colour"),
        ("tiny", ["--condition", "colour=red"], "taught none beside the caption"),
        ("coloured", ["--condition", "red"], "must be NAME=VALUE"),
        ("coloured", ["--condition", "colour=red", "--condition", "colour=blue"], "given twice"),
        (
            "coloured",
            ["--condition", "colour=red", "--condition-guidance", "colour=much"],
            "must be a number",
        ),
        ("coloured", ["--condition", "colour=red", "--condition-guidance", "colour=101"], "at most 100"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(
    sdflow: Told, here: Path, model: str, arguments: list[str], message: str
):
    status, _, error = sdflow("generate", f"models/{model}", "an owl", *arguments)
    assert status == 2
    assert message in error
    assert not (here / "grid.png").exists()
