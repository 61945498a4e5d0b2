"""One Prefect server for the whole session, and a source so small that the whole line takes seconds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.cli import main
from flows.run.server import be_quiet
from sdmodel.config.model import UNetConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from stages.config.collect import CollectConfig, FolderSource
from stages.config.evaluate import EvaluateConfig
from stages.config.run import DedupConfig, Run, ShardConfig
from tests.flows.api import new_server

be_quiet()

ROWS = 40
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220), "white": (240, 240, 240)}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API's address of a server of the session's own, with all of its services."""
    with new_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ROWS captioned pictures, one of them a copy, one too small, one no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, ROWS)
    return folder


def write_pictures(folder: Path, rows: int, first: int = 0) -> None:
    """Write or extend an image folder; see `pictures`."""
    random = np.random.default_rng(first)
    lines = [] if first else ["file_name,text"]
    for number in range(first, first + rows):
        name, colour = list(COLOURS.items())[number % len(COLOURS)]
        pixels = random.integers(0, 256, (4, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        pixels[8:24, 8:24] = colour
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
        lines.append(f"{number:03d}.png,a {name} square")
    if not first:
        (folder / "copy.png").write_bytes((folder / "000.png").read_bytes())
        Image.new("RGB", (1, 1)).save(folder / "dot.png")
        (folder / "page.png").write_text("<html>")
        lines += [f"{name}.png,a red square" for name in ("copy", "dot", "page")]
    with (folder / "metadata.csv").open("a") as file:
        file.write("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def more_pictures() -> Callable[[Path], None]:
    """Extends a folder of pictures."""
    return lambda folder: write_pictures(folder, 8, ROWS)


@pytest.fixture(scope="session")
def tiny_run(pictures: Path) -> Callable[[Path], Run]:
    """Makes the run of the fixture `run` for a store."""
    return lambda store: tiny(store, pictures)


@pytest.fixture
def sdflow(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command: status, standard output, standard error."""

    def told(*arguments: object) -> tuple[int, str, str]:
        try:
            main([str(one) for one in arguments])
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        words = capsys.readouterr()
        return status, words.out, words.err

    return told


@pytest.fixture
def run(tmp_path: Path, pictures: Path) -> Run:
    """A run of the whole line on `pictures`, in a store of its own, in the least time."""
    return tiny(tmp_path / "store", pictures)


def tiny(store: Path, pictures: Path, name: str = "tiny") -> Run:
    return Run(
        name=name,
        store=str(store),
        collect=CollectConfig(
            folders=(FolderSource(name="p", folder=str(pictures)),), part_rows=20, workers=1
        ),
        dedup=DedupConfig(part_rows=20, workers=1),
        shard=ShardConfig(validation=0.2, test=0.2, shard_rows=10, workers=1),
        train=TrainConfig(
            images=64,
            batch=16,
            size=8,
            checkpoint_every=32,
            processes=1,
            text=TextConfig(width=8, heads=1, queries=1, length=8),
            unet=UNetConfig(channels=(8,)),
        ),
        evaluate=EvaluateConfig(samples=2, validation_rows=2, sampling=SamplingConfig(steps=2)),
    )
