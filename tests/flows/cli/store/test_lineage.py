"""`sdflow lineage`, as data and as a tree."""

import json
from collections.abc import Callable
from pathlib import Path

from stages.store import open_store
from tests.stages.retention.birds import model_of, refreshed

Told = Callable[..., tuple[int, str, str]]


def test_of_a_store_and_of_a_name(sdflow: Told, tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    model = model_of(store, refreshed(store, 2)[0])
    status, out, error = sdflow("lineage", "--json", "--store", store.url)
    assert status == 0, error
    graph = json.loads(out)
    assert len(graph["nodes"]) == 9
    assert {edge["to"] for edge in graph["edges"]} <= {node["id"] for node in graph["nodes"]}
    status, out, error = sdflow("lineage", "models/birds", "--store", store.url)
    assert status == 0, error
    assert out.startswith(f"train/{model.fingerprint[:12]}  models/birds@1  ")
    assert "\n  dataset: shard/" in out
    status, _, error = sdflow("lineage", "models/cats", "--store", store.url)
    assert status == 2
    assert "is no reference" in error
