"""The search box: one thing leads to its page, several are listed, none teaches what can be asked."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from stages.artifacts.artifact import Artifact
from tests.dashboard.asking import links, uids


@pytest.fixture
def row(made: dict[str, Artifact]) -> dict[str, Any]:
    """A picture of the collection."""
    return made["collect"].arrow_table("images", None, None, 1).to_pylist()[0]


def target(client: TestClient, question: str) -> str:
    """Where a search leads at once; "" where it leads to a list."""
    answer = client.get(f"/search?q={quote(question)}", follow_redirects=False)
    assert answer.status_code in (200, 303)
    return answer.headers.get("location", "")


def test_an_image_is_found_by_any_of_its_names(client: TestClient, row: dict[str, Any]):
    page = f"/images/{row['uid']}"
    assert target(client, row["location"]) == page
    assert target(client, f"  {row['location'].replace('http://', 'HTTP://')}#part ") == page
    assert target(client, row["uid"]) == page
    assert target(client, row["uid"].upper()) == page
    assert target(client, row["uid"][:12]) == page
    assert target(client, row["uid"][:24]) == page
    assert target(client, row["sha256"]) == page


def test_what_was_left_out_is_found_by_its_address(client: TestClient, made: dict[str, Artifact]):
    rejected = made["collect"].table("rejects", None, [("reason", "=", "http_not_found")]).iloc[0]
    assert target(client, rejected["location"]) == f"/images/{rejected['uid']}"


def test_results_are_found_by_fingerprint_digest_and_name(client: TestClient, made: dict[str, Artifact]):
    dataset = made["shard"]
    page = f"/artifacts/shard/{dataset.fingerprint}"
    for question in (dataset.fingerprint, dataset.fingerprint[:8], dataset.digest, dataset.short_name):
        assert target(client, question) == page
    assert target(client, "datasets/line@1") == page
    assert target(client, "datasets/line@latest") == page
    assert target(client, "datasets/line") == "/references/datasets/line"
    assert target(client, "models/line@1") == f"/models/{made['train'].fingerprint}"


def test_several_names_are_listed(client: TestClient):
    assert target(client, "line") == ""
    text = client.get("/search?q=line").text
    assert "/references/datasets/line" in links(text, "/references/")
    assert "/references/models/line" in links(text, "/references/")


def test_captions_are_searched_as_a_fragment(client: TestClient, made: dict[str, Artifact]):
    assert "/search/captions?q=large+red" in links(client.get("/search?q=large+red").text, "captions")
    text = client.get("/search/captions?q=large+red", headers={"HX-Request": "true"}).text
    index = made["shard"].table("index")
    meant = {
        row.uid
        for row in index.itertuples()
        if any({"large", "red"} <= set(re.findall("[a-z]+", c["text"])) for c in row.captions)  # pyright: ignore
    }
    assert set(uids(text)) <= meant
    assert len(uids(text)) == min(24, len(meant))
    assert "No caption" in client.get("/search/captions?q=zebra").text


@pytest.mark.parametrize(
    "question", ["", "zebra", "http://[", "%", "a" * 9000, "\x00", "'; DROP TABLE x", "🦓"]
)
def test_nothing_found_teaches(client: TestClient, question: str):
    answer = client.get(f"/search?q={quote(question)}")
    assert answer.status_code == 200
    assert "What can be searched for" in answer.text


def test_an_empty_store_can_be_searched(empty: TestClient):
    assert "What can be searched for" in empty.get("/search?q=cat").text
    assert "No caption" in empty.get("/search/captions?q=cat").text
