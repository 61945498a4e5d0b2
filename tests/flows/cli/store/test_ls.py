"""`sdflow ls` by name, stage and history."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.artifacts.artifact import artifacts
from stages.artifacts.reference import approve, refer, resolve
from stages.store import Store, open_store
from tests.stages.retention.birds import model_of, refreshed

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two versions of birds, of which a model learned, and two of cats, the second on hold."""
    store = open_store(str(tmp_path / "store"))
    model_of(store, refreshed(store, 2)[0])
    cats = refreshed(store, 1, name="cats")
    refer(store, "datasets/cats", cats[0], {"on_hold": ["1 picture, fewer than min_rows=9"]})
    refer(store, "announced/datasets/cats", cats[0])
    return store


def names(text: str) -> list[str]:
    return [entry["name"] for entry in json.loads(text)["references"]]


def test_names_that_begin_so_and_results_of_a_stage(sdflow: Told, store: Store):
    def ls(*arguments: str) -> str:
        status, out, error = sdflow("ls", *arguments, "--store", store.url)
        assert status == 0, error
        return out

    assert names(ls("--json")) == [
        *("datasets/birds", "datasets/cats", "images/birds", "images/cats", "models/birds")
    ]
    assert (
        names(ls("datasets/", "--json"))
        == names(ls("datasets", "--json"))
        == ["datasets/birds", "datasets/cats"]
    )
    assert names(ls("--stage", "train", "--json")) == ["models/birds"]
    listed = json.loads(ls("--all", "--json"))["artifacts"]
    assert len(listed) == len(list(artifacts(store)))
    assert {one["stage"] for one in json.loads(ls("--json"))["artifacts"]} == {"collect", "shard", "train"}
    out = ls("--stage", "dedup")
    assert "2 results that no reference names" in out
    assert (
        len([line for line in ls("--all", "--stage", "dedup").splitlines() if line.startswith("dedup/")]) == 2
    )
    assert "datasets/birds@2" in ls()


def test_a_name_may_have_had_results_of_several_stages(sdflow: Told, store: Store):
    refer(store, "models/birds", resolve(store, "images/birds"))  # as a model's mean is filed beside it
    for stage, version in (("train", "models/birds@1"), ("collect", "models/birds@2")):
        out = sdflow("ls", "--stage", stage, "--store", store.url)[1]
        assert version in out
        assert "that no reference names" not in out
        history = sdflow("ls", "models/birds", "--stage", stage, "--store", store.url)[1]
        assert [line.split()[0] for line in history.splitlines()] == ["version", version]
    out = sdflow("ls", "--stage", "cluster", "--store", store.url)[1]
    assert out.strip() == f"store {store.url} holds no result of cluster"


def test_one_names_history_says_what_is_on_hold(sdflow: Told, store: Store):
    _, out, _ = sdflow("ls", "datasets/cats", "--store", store.url)
    first, second = out.splitlines()[1:]
    assert first.split()[0] == "datasets/cats@1"
    assert second.endswith("on hold: 1 picture, fewer than min_rows=9")
    approve(store, "datasets/cats@2", why="only one cat", by="me")
    history = json.loads(sdflow("ls", "datasets/cats", "--store", store.url, "--json")[1])["history"]
    assert [(entry["number"], entry["rows"], entry["approved"][:11]) for entry in history] == [
        (1, 1, ""),
        (2, 1, "approved by"),
    ]
    _, out, _ = sdflow("ls", "datasets/cats", "--store", store.url)
    assert "only one cat (on hold before: 1 picture" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dogs"], "is 'dogs' or begins so; names: datasets/birds"),
        (["--stage", "../x"], "'../x' is no stage"),
    ],
)
def test_what_is_not_there_is_refused(sdflow: Told, store: Store, arguments: list[str], words: str):
    status, _, error = sdflow("ls", *arguments, "--store", store.url)
    assert status == 2
    assert words in error
