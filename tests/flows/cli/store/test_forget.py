"""`sdflow forget`, on a store whose dataset was made by the line."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from flows.cli.store.forget import forget
from flows.run.local import result_of
from flows.run.terminal import Terminal
from flows.steps import STEPS
from stages.artifacts.artifact import Artifact, artifacts
from stages.artifacts.reference import resolve
from stages.config.run import Run
from stages.store import Store, open_store
from stages.takedown.records import records

Said = Callable[..., str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_run: Callable[[Path], Run]) -> tuple[Run, Path]:
    """A run whose dataset is made, and its store."""
    folder = tmp_path_factory.mktemp("forget") / "store"
    run = tiny_run(folder)
    result_of(STEPS, "shard", run, Terminal(), upstream=True)
    return run, folder


@pytest.fixture
def store(made: tuple[Run, Path], tmp_path: Path) -> Store:
    """A copy of that store."""
    return open_store(shutil.copytree(made[1], tmp_path / "store").as_posix())


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], store: Store) -> Said:
    """What the command prints."""
    app = App(result_action="return_value")
    app.default(forget)

    def run(*arguments: str) -> str:
        app([*arguments, "--store", store.url], exit_on_error=False, print_error=False)
        return capsys.readouterr().out

    return run


def some(store: Store, place: int = 0) -> dict[str, Any]:
    """A row of the collection, and what its picture looks like in a file."""
    images = resolve(store, "images/tiny")
    row = images.table("images").iloc[place].to_dict()
    return row | {"data": images.read(row["file"], int(row["offset"]), int(row["length"]))}


def held(store: Store) -> bytes:
    return b"".join(store.read(listed.key) for listed in store.list("files"))


def test_it_is_recorded_and_its_holders_are_told(said: Said, store: Store):
    row = some(store)
    out = said("--uid", row["uid"].upper(), "--why", "asked")
    assert out.startswith("take-down 1\n  pictures held: 1, uids: ")
    assert "images/tiny@1" in out
    assert "datasets/tiny@1" in out
    assert "run the line again for versions without it: datasets/tiny, images/tiny" in out
    assert "--purge takes them out" in out
    assert row["data"] in held(store)
    again = said("--sha256", row["sha256"], "--why", "asked", "--purge")
    assert "take-down 1 of " in again
    assert "says so already" in again
    assert "--purge takes them out" not in said("--uid", row["uid"], "--why", "asked")
    (record,) = records(store)
    assert (record.why, record.sha256s) == ("asked", (row["sha256"],))


def test_the_next_run_leaves_it_out_at_every_stage(said: Said, store: Store, made: tuple[Run, Path]):
    from dataclasses import replace

    row = some(store)
    said("--uid", row["uid"], "--why", "asked", "--purge")
    run = replace(made[0], store=store.url)
    result_of(STEPS, "shard", run, Terminal(), upstream=True)
    for name in ("images/tiny", "datasets/tiny"):
        assert resolve(store, f"{name}@2").verify() == []
    after = resolve(store, "images/tiny")
    assert row["uid"] not in set(after.table("images")["uid"])
    assert after.funnel.reasons["taken_down"] >= 1
    assert row["uid"] not in set(resolve(store, "datasets/tiny").table("index")["uid"])
    assert row["data"] not in held(store)
    for artifact in artifacts(store):
        assert artifact.verify() == []
    assert json.loads(said("--uid", row["uid"], "--why", "x", "--purge", "--json"))["purged"]["files"] == 0


def test_a_dry_run_changes_nothing(said: Said, store: Store):
    row, before = some(store), [one.key for one in store.list("")]
    out = said("--sha256", row["sha256"], "--why", "asked", "--purge", "--dry-run")
    assert out.startswith("would be recorded:\n  pictures held: 1")
    assert "would purge" in out
    assert [one.key for one in store.list("")] == before


def test_purging_takes_the_bytes_out(said: Said, store: Store):
    row, other = some(store, 0), some(store, 1)
    told = json.loads(said("--sha256", row["sha256"], "--why", "asked", "--purge", "--json"))
    assert told["new"] is True
    assert told["takedown"]["given"] == [{"kind": "sha256", "value": row["sha256"]}]
    assert told["purged"]["files"] >= 3
    purged = {holder["kind"]: holder["purged"] for holder in told["holders"]}
    assert purged == {"images": [1], "duplicates": [1], "dataset": [1]}
    everything = held(store)
    assert row["data"] not in everything
    assert other["data"] in everything
    for artifact in artifacts(store):
        assert artifact.verify() == []
        assert Artifact.open(store, artifact.stage, artifact.fingerprint).digest == artifact.digest


def test_a_list_of_names_in_any_form(said: Said, store: Store, tmp_path: Path):
    digest = hashlib.sha256(b"x").hexdigest()
    path = tmp_path / "list.txt"
    path.write_text(
        f"# from the letter\nHTTP://Example.ORG:80/%61#top\n\n{digest.upper()}  # a picture\n"
        f"{digest[:32]}\nBücher.example\n"
    )
    said("--file", str(path), "--why", "letter")
    (record,) = records(store)
    assert record.urls == ("http://example.org/a",)
    assert record.sha256s == (digest,)
    assert record.uids == (digest[:32],)
    assert record.hosts == ("xn--bcher-kva.example",)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--why", "x"], "nothing to forget"),
        (["--uid", "abc", "--why", "x"], "32 hex digits"),
        (["--host", "example.org/a.jpg", "--why", "x"], "is no host"),
        (["--host", "example.org:8080", "--why", "x"], "without scheme and port"),
        (["--url", "ftp://example.org/x", "--why", "x"], "scheme"),
        (["--host", "example.org", "--why", " "], "needs a reason"),
        (["--file", "/nowhere/list", "--why", "x"], "cannot be read"),
    ],
)
def test_mistakes_are_explained(said: Said, arguments: list[str], words: str):
    with pytest.raises(ValueError, match=words):
        said(*arguments)


@pytest.mark.parametrize("line", ["folder/2.png", "example.org/a.jpg", "0123abcd", "user@example.org"])
def test_a_wrong_line_of_a_list_is_named(said: Said, store: Store, tmp_path: Path, line: str):
    path = tmp_path / "list.txt"
    path.write_text(f"example.org\n{line}\n")
    with pytest.raises(ValueError, match=f"line 2: '{line}' is no name"):
        said("--file", str(path), "--why", "x")
    assert records(store) == []
