"""The one list of stages: every stage is on it, and its kind of artifact has all the answers."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stages import record
from stages.artifacts.artifact import Artifact, Funnel
from stages.config.run import ScoreConfig
from stages.kind import Kind
from stages.output import Output
from stages.registry import REGISTERED, Registration, kind_of, kinds
from stages.stage import Stats, stage
from stages.store import open_store

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("registered", REGISTERED, ids=lambda registered: registered.name)
def test_a_stage_makes_the_kind_that_is_registered_for_it(registered: Registration):
    assert registered.load_stage().name == registered.name
    assert registered.load_stage().kind == registered.load_kind().name


def test_every_stage_is_registered():
    """A take-down would pass over what another one made."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "stages").rglob("*.py")
        if re.search(r"^@stage\(", path.read_text(), re.MULTILINE)
    }
    assert modules == {registered.stage.partition(":")[0] for registered in REGISTERED}


def test_every_stage_is_in_the_import_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (independent,) = [contract["modules"] for contract in contracts if contract["type"] == "independence"]
    for registered in REGISTERED:
        module = registered.stage.partition(":")[0]
        assert [name for name in independent if f"{module}.".startswith(f"{name}.")], module


def test_a_kind_must_say_where_pixels_lie():
    with pytest.raises(TypeError, match="pixels"):
        Kind(name="things")  # pyright: ignore[reportCallIssue]


def test_what_a_kind_declares_to_be_shown_is_in_its_tables():
    """Pages read pictures and embeddings by these columns."""
    schemas = {"images": record.IMAGES, "index": record.INDEX, "scores": record.SCORES}
    for kind in kinds().values():
        if kind.shown is not None:
            names = schemas[kind.shown.table].names
            assert {"uid", "file", "offset", "length", kind.shown.checksum} <= set(names)
        if kind.vectors is not None:
            assert {"uid", "file", kind.vectors.row} <= set(schemas[kind.vectors.table].names)
    assert [kind.name for kind in kinds().values() if kind.shown] == ["images", "dataset"]
    assert [kind.name for kind in kinds().values() if kind.vectors] == ["scores"]


def test_people_can_read_what_a_purge_does_to_each_kind():
    text = (ROOT / "docs/collection.md").read_text()
    for name, kind in kinds().items():
        makers = ", ".join(each.name for each in REGISTERED if each.load_kind() is kind)
        assert f"| {name} | {makers} | {kind.purged} |\n" in text


def test_an_unknown_kind_is_refused(tmp_path: Path):
    @stage(version=1, kind="things")
    def things(config: ScoreConfig, out: Output) -> Stats:
        return Stats(Funnel(0, 0))

    artifact: Artifact = things(ScoreConfig(), store=open_store(str(tmp_path / "store")))
    with pytest.raises(ValueError, match="is of kind 'things'; this version knows the kinds images, "):
        kind_of(artifact)
    assert kinds()["images"].name == "images"


def test_kinds_are_known_without_what_takes_long():
    heavy = {"numpy", "pandas", "pyarrow", "torch", "scipy", "PIL"}
    program = f"import sys, stages.registry as r; r.kinds(); print(*{heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
