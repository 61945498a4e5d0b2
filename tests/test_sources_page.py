"""docs/sources.md, followed at tiny size: its commands in order, in one store, trainings in this process."""

import itertools
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from flows.cli import main
from flows.config.file import read_run
from flows.study.cases import cases_of, read_study
from sdmodel.train.job import JobSpec
from sdmodel.train.process import launch
from sdmodel.train.run import run
from stages.demo import pairs

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "sources.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
LOOP = re.compile(r"for (\w+) in ([\w ]+); do (.*); done")
TINY = (
    *("train.images=64", "train.batch=16", "train.checkpoint_every=64", "train.device=cpu"),
    *("train.processes=1", "train.threads=1", "train.validation.rows=8"),
    *("evaluate.samples=4", "evaluate.oracle_samples=4", "evaluate.validation_rows=4"),
    *("evaluate.sampling.steps=1", "evaluate.device=cpu", "shard.validation=0.1", "shard.test=0.1"),
)
"""What makes a run of the page one of seconds."""
ROWS = "60"
"""Pictures of the world."""


def commands() -> list[list[str]]:
    """The page's commands in order, loops unrolled, each as words."""
    lines: list[str] = []
    for block in BLOCK.findall(PAGE.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            loop = LOOP.fullmatch(line.strip())
            lines += [loop[3].replace(f"${loop[1]}", value) for value in loop[2].split()] if loop else [line]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def overrides(words: list[str]) -> list[str]:
    """The values of --set among a command's words."""
    return [value for option, value in itertools.pairwise(words) if option == "--set"]


def runs() -> list[list[str]]:
    """Commands that run a config, or a stage of one."""
    return [
        words for words in commands() if words[:2] == ["sdflow", "run"] or words[:2] == ["sdflow", "stage"]
    ]


def config_of(words: list[str]) -> str:
    """The config file that a command names."""
    return next(word for word in words if word.endswith(".yaml"))


@pytest.mark.parametrize("words", runs(), ids=" ".join)
def test_each_run_of_the_page_has_a_config_that_can_work(words: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    read_run(Path(config_of(words)), overrides(words), "store", None)


def test_what_the_page_starts_from_it_has_made_before():
    named: set[str] = set()
    for words in runs():
        chosen = dict(value.split("=", 1) for value in overrides(words))
        read = {match for value in chosen.values() for match in re.findall(r"models/([\w-]+)", value)}
        assert read <= named, words
        named.add(chosen.get("name", Path(config_of(words)).stem))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the examples in it, in which trainings run in this process."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)

    def trained(path: Path, *_: Any, **__: Any) -> bool:
        return run(JobSpec.read(path))

    monkeypatch.setattr(launch, "train", trained)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


def follow(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs one command at tiny size: `run` as `stage evaluate --upstream`, which does the same without
    Prefect. Of a study the cases are read: its dry run would measure the speed of each."""
    if words[:3] == ["python", "-m", "stages.demo.pairs"]:
        rows = words.index("--rows") + 1
        monkeypatch.setattr(sys, "argv", ["pairs", *words[3:rows], ROWS, *words[rows + 1 :]])
        pairs.main()
        return
    assert words[0] == "sdflow", words
    staged = any(value.startswith("train.sizes=") for value in overrides(words))
    values = (*TINY, "train.sizes=[[16, 32], [32, 32]]") if staged else TINY
    tiny = [part for value in values for part in ("--set", value)]
    match words[1]:
        case "run":
            words = ["stage", "evaluate", *words[2:], *tiny, "--upstream"]
        case "stage":
            words = [*words[1:], *tiny]
        case "study":
            study = read_study(Path(words[2]))
            assert cases_of(study, Path(words[2]).parent / study.base, "store"), words
            return
        case _:
            words = words[1:]
    assert not main(words), words


@pytest.mark.matrix
@pytest.mark.timeout(1200)
def test_the_commands_of_the_page_work_in_their_order(here: Path, monkeypatch: pytest.MonkeyPatch):
    followed = commands()
    assert len(followed) > 30
    for words in followed:
        follow(words, monkeypatch)
    for file in {words[words.index("--out") + 1] for words in followed if "--out" in words}:
        assert (here / file).exists(), file
