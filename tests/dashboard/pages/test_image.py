"""The page of an image: one that was kept, one that was left out, one that must not be shown."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from stages.artifacts.artifact import Artifact
from stages.store import Store
from stages.takedown.records import Name, forget
from tests.dashboard.asking import asking, links, path, uids


@pytest.fixture
def learned(made: Mapping[str, Artifact]) -> str:
    """The uid of a picture that a model learned from."""
    return made["shard"].table("index", ["uid"], [("split", "=", "train")])["uid"].iloc[0]


def test_every_stage_and_model_answers_for_a_picture(
    client: TestClient, made: dict[str, Artifact], learned: str
):
    text = client.get(f"/images/{learned}").text
    for stage in ("collect", "dedup", "score", "filter", "shard"):
        assert f'href="/artifacts/{stage}/{made[stage].fingerprint}"' in text
    assert f'href="/models/{made["train"].fingerprint}"' in text
    assert "min similarity 0.75" in text  # the threshold beside the score
    assert f"thumbnails/{learned}?side=640" in text
    place = made["shard"].arrow_table("index", None, [("uid", "=", learned)]).to_pylist()[0]
    assert f"{place['file']} from {place['offset']}, {place['length']} bytes" in text


def test_a_picture_for_validation_taught_no_model(client: TestClient, made: dict[str, Artifact]):
    rows = made["shard"].table("index", ["uid"], [("split", "=", "test")])
    text = client.get(f"/images/{rows['uid'].iloc[0]}").text
    assert not links(text, "^/models/")
    assert "in no training split" in text


@pytest.mark.parametrize(
    "reason", ["low_similarity", "caption_too_short", "near_duplicate", "exact_duplicate"]
)
def test_what_filter_left_out_has_the_same_page(client: TestClient, made: dict[str, Artifact], reason: str):
    row = made["filter"].table("rejects", None, [("reason", "=", reason)]).iloc[0]
    text = client.get(f"/images/{row['uid']}").text
    assert f"left out, {reason.replace('_', ' ')}" in text
    assert row["detail"] in text
    assert "side=640" in text
    if row["merged_into"]:
        assert f"/images/{row['merged_into']}" in links(text, "^/images/")
        assert f"thumbnails/{row['merged_into']}" in text  # the twin, beside it


@pytest.mark.parametrize("reason", ["http_not_found", "too_small", "truncated"])
def test_what_collect_left_out_has_a_page_without_a_picture(
    client: TestClient, made: dict[str, Artifact], reason: str
):
    row = made["collect"].table("rejects", None, [("reason", "=", reason)]).iloc[0]
    text = client.get(f"/images/{row['uid']}").text
    assert row["location"] in text
    assert "<img" not in text
    assert "no picture is kept of this row" in text
    assert "requested at" in text  # the evidence of the fetch


@pytest.mark.parametrize("uid", ["0" * 32, "x", "A" * 32])
def test_an_unknown_uid_is_told(client: TestClient, uid: str):
    answer = client.get(f"/images/{uid}")
    assert answer.status_code == 404


def test_neighbours_are_those_of_greatest_cosine(client: TestClient, made: dict[str, Artifact], learned: str):
    scores = made["score"]
    table = scores.table("scores").set_index("uid")
    vectors = {
        uid: np.load(scores.path(row["file"]))[row["index"]].astype(np.float32)
        for uid, row in table.iterrows()
    }
    cosines = {uid: float(vector @ vectors[learned]) for uid, vector in vectors.items() if uid != learned}
    greatest = sorted(cosines.values(), reverse=True)[:12]
    address = f"/images/{learned}/neighbours/score/{scores.fingerprint}"
    assert address in client.get(f"/images/{learned}").text
    page, fragment = client.get(address).text, client.get(address, headers={"HX-Request": "true"}).text
    assert [cosines[uid] for uid in uids(fragment)] == pytest.approx(greatest, abs=1e-5)  # copies tie
    assert "<html" in page
    assert "<html" not in fragment


def test_a_picture_that_was_taken_down_is_told_and_not_shown(copied: Store, learned: str):
    forget(copied, [Name("uid", learned)], "a test")
    with asking(copied) as client:
        text = client.get(f"/images/{learned}").text
        assert "take-down 1" in text
        assert "<img" not in text
        assert "neighbours" not in text


def test_a_damaged_table_hides_nothing_else(copied: Store, made: dict[str, Artifact], learned: str):
    with asking(copied) as client:
        assert client.get(f"/images/{learned}").status_code == 200
        file = Path(copied.url) / made["score"].entry("scores.parquet").key
        file.chmod(0o644)
        file.write_bytes(b"x")
        text = client.get(f"/images/{learned}").text
        assert "restore it from a copy" in text
        assert f'href="/artifacts/shard/{made["shard"].fingerprint}"' in text


def test_foreign_text_is_text(client: TestClient, made: dict[str, Artifact], learned: str):
    text = client.get(path(made["shard"], "rows?words=%3Cscript%3Ealert(1)%3C/script%3E%1b[31m")).text
    assert "<script>alert" not in text
    assert "\x1b" not in text
