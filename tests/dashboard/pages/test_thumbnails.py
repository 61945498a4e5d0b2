"""Thumbnails: our own bytes of what the tables name, and never a picture that was taken down."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from dashboard.pages.thumbnails import CACHING
from dashboard.pictures.thumbnail import MEMORY, Thumbnail, Thumbnails, placeholder
from stages.artifacts.artifact import Artifact
from stages.store import Store
from stages.takedown.purge import purge
from stages.takedown.records import Name, forget
from tests.dashboard.asking import asking, path


@pytest.fixture
def row(made: Mapping[str, Artifact]) -> dict[str, Any]:
    """A picture that the dataset has, as its collection knows it."""
    uid = made["shard"].arrow_table("index", ["uid"], None, 1).to_pylist()[0]["uid"]
    return made["collect"].arrow_table("images", None, [("uid", "=", uid)]).to_pylist()[0]


@pytest.mark.parametrize("stage", ["collect", "dedup", "score", "filter", "shard", "train"])
def test_any_result_shows_a_picture_from_the_nearest_one_that_has_it(
    client: TestClient, made: dict[str, Artifact], row: dict[str, Any], stage: str
):
    answer = client.get(path(made[stage], f"thumbnails/{row['uid']}?side=32"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert max(image.size) == 32
    source = made["shard"] if stage in ("shard", "train") else made["collect"]
    assert (
        answer.headers["etag"] == client.get(path(source, f"thumbnails/{row['uid']}?side=32")).headers["etag"]
    )


def test_a_browser_asks_before_each_use(client: TestClient, made: dict[str, Artifact], row: dict[str, Any]):
    address = path(made["collect"], f"thumbnails/{row['uid']}")
    answer = client.get(address)
    assert answer.headers["cache-control"] == CACHING["Cache-Control"] == "private, no-cache"
    again = client.get(address, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_is_nowhere_is_a_drawing(client: TestClient, made: dict[str, Artifact]):
    answer = client.get(path(made["collect"], f"thumbnails/{'0' * 32}"))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "image/svg+xml")
    assert "no picture is" in answer.text
    assert client.get(path(made["collect"], "thumbnails/..%2f..%2fx")).status_code == 404
    assert client.get(f"/artifacts/collect/{'0' * 64}/thumbnails/x").status_code == 404


@pytest.mark.parametrize("kind", ["uid", "sha256", "url", "host"])
def test_a_take_down_counts_at_once_under_any_name(
    copied: Store, made: dict[str, Artifact], row: dict[str, Any], kind: str
):
    names = {"uid": row["uid"], "sha256": row["sha256"], "url": row["location"], "host": "127.0.0.1"}
    with asking(copied) as client:
        addresses = [
            path(made[stage], f"thumbnails/{row['uid']}") for stage in ("collect", "filter", "shard")
        ]
        etags = [client.get(address).headers["etag"] for address in addresses]
        forget(copied, [Name(kind, names[kind])], "a test")
        for address, etag in zip(addresses, etags, strict=True):
            answer = client.get(address, headers={"if-none-match": etag})
            assert answer.status_code == 410
            assert "taken down" in answer.headers["x-reason"]
            assert answer.headers["cache-control"] == "no-store"


def test_purged_bytes_are_gone_also_where_the_record_is_not_asked(
    copied: Store, made: dict[str, Artifact], row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """The bytes of this moment count, not those of a second ago, nor what is kept in memory."""
    with asking(copied) as client:
        address = path(made["collect"], f"thumbnails/{row['uid']}")
        assert client.get(address).status_code == 200
        purge(copied, forget(copied, [Name("uid", row["uid"])], "a test"))
        monkeypatch.setattr("dashboard.takedowns.forbidden.Forbidden.takedown", lambda *_, **__: None)
        answer = client.get(address)
        assert (answer.status_code, answer.headers["x-reason"]) == (410, "purged after a take-down")


@pytest.mark.parametrize("stage", ["collect", "shard"])
def test_a_damaged_picture_is_not_shown(
    copied: Store, made: dict[str, Artifact], row: dict[str, Any], stage: str
):
    table = {"collect": "images", "shard": "index"}[stage]
    place = made[stage].arrow_table(table, None, [("uid", "=", row["uid"])]).to_pylist()[0]
    file = Path(copied.url) / made[stage].entry(place["file"]).key
    data = bytearray(file.read_bytes())
    data[place["offset"] + 20] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    with asking(copied) as client:
        answer = client.get(path(made[stage], f"thumbnails/{row['uid']}"))
        assert answer.status_code == 404
        assert "damaged" in answer.headers["x-reason"]
        file.unlink()
        assert client.get(path(made[stage], f"thumbnails/{row['uid']}")).status_code == 404


def test_memory_is_bounded_in_bytes():
    nothing: Any = None
    kept = Thumbnails(nothing, nothing, memory=100)
    for number in range(9):
        kept._keep(str(number), Thumbnail(b"x" * 30, str(number)))  # pyright: ignore[reportPrivateUsage]
    assert kept.size == 90
    assert MEMORY < 1_000_000_000


def test_a_placeholder_is_a_drawing_whose_words_are_text():
    drawn = placeholder('<script>alert("x")</script> and a good many other words of it').decode()
    assert "<script" not in drawn
    assert "&lt;script" in drawn
