"""What was made from what, of artifacts made by hand."""

import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.artifacts.excerpt import Excerpt
from stages.artifacts.reference import refer, resolve
from stages.artifacts.tombstone import tombstones
from stages.config.retention import RetainConfig
from stages.output import Output
from stages.report.lineage import GENERATIONS, as_lines, lineage
from stages.retention.retain import retain
from stages.stage import Stats, stage
from stages.store import Store, open_store
from tests.stages.retention.birds import Seed, evaluate, images_of, model_of, refreshed


@stage(version=2, kind="x", name="join")
def join(start: Excerpt, sources: tuple[Artifact | Snapshot | None, ...], config: Seed, out: Output) -> Stats:
    return Stats(Funnel(5, 3, {"too_small": 1, "duplicate": 1}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def node_of(graph: dict[str, Any], artifact: Artifact) -> dict[str, Any]:
    (node,) = [each for each in graph["nodes"] if each["fingerprint"] == artifact.fingerprint]
    return node


def names(graph: dict[str, Any]) -> list[str]:
    return [node["id"] for node in graph["nodes"]]


def edges(graph: dict[str, Any]) -> set[tuple[str, str, str]]:
    short = {node["id"]: node["stage"] for node in graph["nodes"]}
    return {(short[edge["from"]], edge["input"], short[edge["to"]]) for edge in graph["edges"]}


def test_an_empty_store(store: Store):
    graph = lineage(store)
    assert (graph["nodes"], graph["edges"]) == ([], [])
    assert list(as_lines(graph)) == [f"store {store.url} holds nothing finished yet"]


def test_nodes_and_edges_of_a_store(store: Store):
    dataset = refreshed(store, 1)[0]
    model = model_of(store, dataset)
    evaluate(model, dataset, Seed(), store=store)
    graph = lineage(store)
    assert [node["stage"] for node in graph["nodes"]] == [
        *("collect", "dedup", "filter", "shard", "train", "evaluate")
    ]
    assert edges(graph) == {
        *(("collect", "images", "dedup"), ("collect", "images", "filter"), ("collect", "images", "shard")),
        *(("dedup", "duplicates", "filter"), ("filter", "selection", "shard"), ("shard", "dataset", "train")),
        *(("train", "model", "evaluate"), ("shard", "dataset", "evaluate")),
    }
    node = node_of(graph, model)
    manifest = model.manifest
    assert node == {
        "id": f"train/{model.fingerprint}",
        "stage": "train",
        "fingerprint": model.fingerprint,
        "digest": model.digest,
        "state": "finished",
        "kind": "model",
        "version": 1,
        "code": manifest.code,
        "started": manifest.started,
        "ended": manifest.ended,
        "rows_in": 1,
        "rows_out": 1,
        "reasons": {},
        "bytes": model.entry("model/weights").size,
        "outside": {},
        "references": ["models/birds@1"],
        "on_hold": [],
    }
    assert json.loads(json.dumps(graph)) == lineage(store), "the same again, in the same order"


def test_one_artifact_has_what_it_was_made_from_and_what_was_made_from_it(store: Store):
    birds, cats = refreshed(store, 2), refreshed(store, 1, name="cats")
    model_of(store, birds[0])
    graph = lineage(store, "datasets/birds@1")
    assert graph["what"] == f"shard/{birds[0].fingerprint}"
    assert [node["stage"] for node in graph["nodes"]] == ["collect", "dedup", "filter", "shard", "train"]
    assert cats[0].fingerprint not in json.dumps(graph) or cats[0].fingerprint == birds[0].fingerprint
    later = lineage(store, birds[1].fingerprint[:12])
    assert f"collect/{resolve(store, 'images/birds@1').fingerprint}" in names(later), "of an edition before"
    with pytest.raises(ValueError, match="is no reference and no fingerprint"):
        lineage(store, "datasets/dogs")


def test_inputs_from_outside_and_parts_of_artifacts(store: Store):
    images = images_of(store, 1, None)
    excerpt = Excerpt(images, "state", "cd" * 32)
    made = join(excerpt, (Snapshot("ab" * 32), None, images), Seed(), store=store)
    graph = lineage(store, made.fingerprint[:8])
    node = node_of(graph, made)
    assert node["outside"] == {"sources.0": "ab" * 32}
    assert (node["rows_in"], node["rows_out"]) == (5, 3)
    assert node["reasons"] == {"duplicate": 1, "too_small": 1}
    assert [edge["input"] for edge in graph["edges"]] == ["sources.2", "start"]


def test_a_version_on_hold_says_so(store: Store):
    dataset = refreshed(store, 1)[0]
    refer(store, "datasets/cats", dataset, {"on_hold": ["too few\x1b[31m"]})
    graph = lineage(store)
    node = node_of(graph, dataset)
    assert node["references"] == ["datasets/birds@1", "datasets/cats@1"]
    assert node["on_hold"] == ["datasets/cats@1"]
    assert "(datasets/cats@1 on hold)" in "\n".join(as_lines(graph))


def test_what_was_dropped_stays_in_the_lineage_of_what_was_made_from_it(store: Store):
    first = refreshed(store, 3)[0]
    model = model_of(store, first)
    yesterday = time.time() - 86_400
    for path in Path(store.url).rglob("manifests/**/*.json"):
        os.utime(path, (yesterday, yesterday))
    retain(store, ["datasets/birds"], RetainConfig(last=1), grace=timedelta(0), watch=0)
    graph = lineage(store, "models/birds")
    dropped = node_of(graph, first)
    assert dropped["id"] == f"shard/{first.fingerprint}/{first.digest}"
    assert dropped["state"] == "dropped"
    assert dropped["references"] == ["datasets/birds@1"]
    assert dropped["why"].startswith("retention of datasets/birds")
    assert {"from": dropped["id"], "to": f"train/{model.fingerprint}", "input": "dataset"} in graph["edges"]
    lines = list(as_lines(graph))
    assert lines[0].startswith(f"train/{model.fingerprint[:12]}  models/birds@1")
    assert f"  (dropped on {dropped['dropped'][:10]})" in lines[1]
    assert lineage(store, "datasets/birds@1")["what"] == dropped["id"]
    store.delete([each.key for each in tombstones(store, "filter")])
    graph = lineage(store, "models/birds")
    (unknown,) = [node for node in graph["nodes"] if node["stage"] == "filter"]
    assert unknown["state"] == "unknown"
    assert any(line.endswith("nothing is kept of it") for line in as_lines(graph))


def test_people_see_a_tree_in_which_each_result_is_opened_once(store: Store):
    dataset = refreshed(store, 1)[0]
    model = model_of(store, dataset)
    evaluate(model, dataset, Seed(), store=store)
    lines = [line.split("  2")[0] for line in as_lines(lineage(store))]
    assert [line.split("/")[0] for line in lines] == [
        "evaluate",
        "  dataset: shard",
        "    images: collect",
        "    selection: filter",
        "      duplicates: dedup",
        "        images: collect",
        "      images: collect",
        "  model: train",
        "    dataset: shard",
    ]
    whole = list(as_lines(lineage(store)))
    assert whole[-1].endswith("1 of 1 rows  (as above)")
    lines = list(as_lines(lineage(store, "datasets/birds")))
    ahead = lines[lines.index("what was made from it") + 1 :]
    assert [line.split("/")[0] for line in ahead] == [
        *("  dataset: train", "    model: evaluate", "  dataset: evaluate")
    ]


def test_many_editions_end_somewhere(store: Store):
    images = None
    for seed in range(GENERATIONS + 5):
        images = images_of(store, seed, images)
    lines = list(as_lines(lineage(store)))
    assert len(lines) == GENERATIONS + 2
    assert lines[-1].strip() == "… and further (--json has all)"
    assert len(lineage(store)["nodes"]) == GENERATIONS + 5
