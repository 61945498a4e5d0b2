"""The graph: what belongs to it, how it lies, and what it says of each result."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.catalogue import Catalogue
from dashboard.lineage.graph import MOST, lineage_of, newest_lineage, stage_depths
from dashboard.svg.lineage_graph import lineage_svg
from flows.cli import main
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import ON_HOLD, refer
from stages.artifacts.verification import verify_and_record
from stages.store import FolderStore, Store, open_store
from tests.dashboard.conftest import ADDRESS


@pytest.fixture
def own(filled: Store, tmp_path: Path) -> FolderStore:
    """A store of the test's own."""
    store = open_store(str(shutil.copytree(filled.url, tmp_path / "own")))
    assert isinstance(store, FolderStore)
    return store


def test_layers_go_from_sources_to_reports(filled: Store):
    graph = newest_lineage(Catalogue(filled).contents())
    layers = [{artifact.stage for artifact in layer} for layer in graph.layers]
    assert layers == [{"collect"}, {"dedup", "score"}, {"filter"}, {"shard"}, {"train"}, {"evaluate"}]
    assert graph.left_out == 0
    assert len(graph.edges) == 10


def test_of_one_artifact_its_ancestors_and_descendants(filled: Store, made: dict[str, Artifact]):
    contents = Catalogue(filled).contents()
    graph = lineage_of(contents, made["dedup"])
    assert {artifact.stage for artifact in graph.artifacts} == {*made} - {"score"}
    near = lineage_of(contents, made["dedup"], most=3)
    assert {artifact.stage for artifact in near.artifacts} == {"dedup", "collect", "filter"}
    assert near.left_out == len(graph.artifacts) - 3


def test_stages_that_read_each_other_share_a_layer():
    edges = [("collect", "shard"), ("shard", "train"), ("train", "average"), ("average", "train")]
    edges += [("train", "evaluate"), ("train", "train")]
    depths = stage_depths(edges)
    assert [depths[stage] for stage in ("collect", "shard", "train", "average", "evaluate")] == [
        0,
        1,
        2,
        2,
        3,
    ]


def test_edges_of_a_ladder_do_not_cross(own: FolderStore, made: dict[str, Artifact]):
    """Pairs that come in the wrong order are drawn side by side."""
    shard, train = made["shard"].manifest, made["train"].manifest
    for number in range(6):
        data, model = f"{number:064x}", f"{16 - number:064x}"
        own.create(
            f"manifests/a/{data}.json", replace(shard, stage="a", fingerprint=data, inputs={}).to_json()
        )
        inputs = {"dataset": {"stage": "a", "fingerprint": data, "digest": ""}}
        moved = replace(train, stage="b", fingerprint=model, inputs=inputs, ended=f"2026-01-{16 - number}")
        own.create(f"manifests/b/{model}.json", moved.to_json())
        refer(own, f"models/n{number}", Artifact.open(own, "b", model))
    graph = newest_lineage(Catalogue(own).contents())
    left, right = (
        [one.fingerprint for layer in graph.layers for one in layer if one.stage == stage] for stage in "ab"
    )
    assert all((a, b) in graph.edges for a, b in zip(left, right, strict=True))


def test_every_box_is_a_link_and_stands_in_the_table(client: TestClient, made: dict[str, Artifact]):
    text = client.get("/graph").text
    for artifact in made.values():
        assert text.count(f'href="/artifacts/{artifact.stage}/{artifact.fingerprint}"') == 2
    assert "datasets/line@1" in text
    assert "85 rows" in text


def test_a_graph_of_one_marks_it(client: TestClient, made: dict[str, Artifact]):
    text = client.get(f"/graph?artifact={made['filter'].fingerprint}").text
    assert len(re.findall(r'class="node \w+ marked"', text)) == 1
    assert client.get(f"/graph?artifact={'0' * 64}").status_code == 404


def test_damage_and_what_is_made_of_it_are_red(own: FolderStore, made: dict[str, Artifact]):
    path = own.root / made["filter"].entry("selection.parquet").key
    path.chmod(0o644)
    path.write_bytes(b"other")
    verify_and_record(Artifact.open(own, "filter", made["filter"].fingerprint))
    refer(own, "scores/line", made["score"], {ON_HOLD: ["too few"]})
    with TestClient(create_app(own), base_url=ADDRESS) as client:
        text = client.get("/graph").text
    tones = dict(re.findall(r'<a href="/artifacts/(\w+)/\w+" class="node (\w+)', text))
    assert {stage for stage, tone in tones.items() if tone == "bad"} == {
        "filter",
        "shard",
        "train",
        "evaluate",
    }
    assert tones["collect"] == "good"
    assert tones["score"] == "warning"
    assert "damaged input, 85 rows" in text


def test_a_great_graph_is_bounded_and_says_so(own: FolderStore, made: dict[str, Artifact]):
    manifest = made["shard"].manifest
    for number in range(MOST + 30):
        name = f"{number:064x}"
        own.create(f"manifests/shard/{name}.json", replace(manifest, fingerprint=name).to_json())
        inputs = {"dataset": {"stage": "shard", "fingerprint": name, "digest": manifest.digest}}
        own.create(
            f"manifests/average/{name}.json".replace("0000", "1111", 1),
            replace(
                made["train"].manifest, stage="average", fingerprint="1111" + name[4:], inputs=inputs
            ).to_json(),
        )
    with TestClient(create_app(own), base_url=ADDRESS) as client:
        text = client.get(f"/graph?artifact={made['collect'].fingerprint}").text
    assert "more results belong to this graph and are left out" in text
    assert text.count('class="node') == MOST
    assert len(re.findall(r"<[a-z]", text)) < 2000


def test_foreign_words_are_text(own: FolderStore, made: dict[str, Artifact]):
    manifest = replace(made["train"].manifest, stage='"><b>', fingerprint="ab" * 32)
    artifact = Artifact(own, manifest)
    contents = Catalogue(own).contents()
    contents = replace(contents, artifacts={**contents.artifacts, artifact.fingerprint: artifact})
    assert "<b>" not in lineage_svg(contents, lineage_of(contents, artifact))


def test_an_empty_store_says_how_to_fill_it(empty: TestClient):
    assert "sdflow demo" in empty.get("/graph").text


def test_lineage_as_json_is_what_the_command_prints(
    filled: Store, client: TestClient, made: dict[str, Artifact], capsys: pytest.CaptureFixture[str]
):
    assert 'href="/lineage.json"' in client.get("/graph").text
    answer = client.get("/lineage.json")
    assert answer.headers["content-type"] == "application/json"
    assert "attachment" in answer.headers["content-disposition"]
    main(["lineage", "--json", "--store", filled.url])
    assert answer.text == capsys.readouterr().out

    fingerprint = made["shard"].fingerprint
    address = f"/lineage.json?artifact={fingerprint}"
    assert f'href="{address}"' in client.get(f"/graph?artifact={fingerprint}").text
    graph = client.get(address).json()
    assert graph["what"] == f"shard/{fingerprint}"
    assert {node["stage"] for node in graph["nodes"]} >= {"collect", "shard", "train"}
    assert client.get("/lineage.json?artifact=nothing").status_code == 400
