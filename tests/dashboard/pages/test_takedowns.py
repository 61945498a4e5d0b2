"""Take-downs: a dry run first, then a second word, and a record; nothing without our own form's token."""

import re
import shlex
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.takedowns.request import asked_for
from flows.cli.store.forget import forget as forget_command
from stages.artifacts.artifact import Artifact
from stages.store import Store, open_store
from stages.takedown.records import Name, forget, records
from tests.dashboard.conftest import ADDRESS

SENT_BY_US = {"origin": ADDRESS}


@pytest.fixture
def store(filled: Store, tmp_path: Path) -> Store:
    return open_store(shutil.copytree(filled.url, tmp_path / "own").as_posix())


@pytest.fixture
def asked(store: Store) -> Iterator[TestClient]:
    with TestClient(create_app(store), base_url=ADDRESS, headers=SENT_BY_US) as client:
        yield client


@pytest.fixture(scope="module")
def row(made: dict[str, Artifact]) -> dict[str, Any]:
    """A picture that was trained on."""
    (trained,) = made["shard"].table("index", ["uid"], [("split", "=", "train")], rows=1)["uid"]
    return made["collect"].table("images", filters=[("uid", "=", trained)]).iloc[0].to_dict()


def hidden(text: str) -> dict[str, str]:
    """The hidden fields of a page's form that posts."""
    inputs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text)
    area = re.search(r"<textarea[^>]*name=\"names\"[^>]*>(.*?)</textarea>", text, re.DOTALL)
    return {name: unescape(value) for name, value in [*inputs, ("names", area[1] if area else "")]}


def dry_run(client: TestClient, names: str, why: str = "asked by <the> photographer") -> Any:
    form = hidden(client.get("/takedowns/new").text)
    return client.post("/takedowns/new", data={**form, "names": names, "why": why})


def test_it_is_asked_twice_and_then_on_record(asked: TestClient, store: Store, row: dict[str, Any]):
    page = asked.get(f"/takedowns/new?uid={row['uid']}").text
    form = hidden(page)
    assert form["names"] == row["uid"]
    looked = asked.post("/takedowns/new", data={**form, "why": "asked"})
    assert looked.status_code == 200
    assert "A dry run: nothing has been recorded." in looked.text
    assert f"/thumbnails/{row['uid']}" in looked.text
    for stage in ("collect", "shard", "train"):
        assert re.search(rf'href="/artifacts/{stage}/[0-9a-f]{{64}}"', looked.text)
    assert "learned from it" in looked.text
    assert records(store) == []
    confirm = hidden(looked.text)
    assert asked.post("/takedowns", data=confirm).status_code == 409  # the box is not ticked
    assert records(store) == []
    done = asked.post("/takedowns", data={**confirm, "confirmed": "yes"}, follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, "/takedowns/1")
    (record,) = records(store)
    assert record.sha256s == (row["sha256"],)
    assert record.given == (Name("uid", row["uid"]),)
    assert record.why == "asked"
    assert "take-down 1" in asked.get("/takedowns").text  # at once


def test_its_page_says_what_still_holds_it_and_how_to_purge(
    asked: TestClient, store: Store, row: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    forget(store, [Name("uid", row["uid"])], "<b>asked</b>")
    text = asked.get("/takedowns/1").text
    assert "&lt;b&gt;asked&lt;/b&gt;" in text
    assert "/takedowns/1/holders" in text
    fragment = asked.get("/takedowns/1/holders", headers={"HX-Request": "true"}).text
    assert "<html" not in fragment
    assert "holds the bytes" in fragment
    alone = asked.get("/takedowns/1/holders").text
    assert fragment.strip() in alone  # without JavaScript the same
    found = re.search(r"<code>(sdflow forget [^<]+)</code>", alone)
    assert found
    command = shlex.split(unescape(found[1]))
    assert command[:4] == ["sdflow", "forget", "--sha256", row["sha256"]]
    forget_command(sha256=(row["sha256"],), why="take-down 1", purge=True, store=store.url)
    assert "take-down 1 of" in capsys.readouterr().out  # no second record
    after = asked.get("/takedowns/1/holders").text
    assert "bytes purged" in after
    assert "holds the bytes" not in after
    asked.app.state.catalogue.look_again()  # type: ignore[attr-defined]
    assert "purged from" in asked.get("/takedowns").text


def test_another_page_s_form_changes_nothing(asked: TestClient, store: Store, row: dict[str, Any]):
    form = {"names": row["uid"], "why": "x", "confirmed": "yes"}
    assert asked.post("/takedowns", data=form).status_code == 403
    confirm = {**hidden(dry_run(asked, row["uid"]).text), "confirmed": "yes"}
    assert (
        asked.post("/takedowns", data=confirm, headers={"origin": "http://evil.example"}).status_code == 403
    )
    assert asked.get("/takedowns", params=confirm).status_code == 200  # an address writes nothing
    assert records(store) == []


def test_what_was_looked_at_is_what_is_confirmed(asked: TestClient, store: Store, row: dict[str, Any]):
    confirm = {**hidden(dry_run(asked, row["uid"]).text), "confirmed": "yes"}
    other = asked.post("/takedowns", data={**confirm, "names": f"{row['uid']}\nexample.org"})
    assert other.status_code == 409
    assert "look again" in other.text
    assert records(store) == []


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("", "nothing to forget is named"),
        ("# a comment", "nothing to forget is named"),
        ("example.org\nnonsense", "the list, line 2"),
        ("https://", "the list, line 1"),
        ("<script>alert(1)</script>", "is no name of a picture"),
    ],
)
def test_a_mistake_is_said_beside_the_form(asked: TestClient, names: str, words: str):
    answer = dry_run(asked, names)
    assert answer.status_code == 400
    assert words in unescape(answer.text)
    assert "<script>alert" not in answer.text
    assert "<form" in answer.text


def test_a_reason_is_needed(asked: TestClient):
    assert "a take-down needs a reason" in dry_run(asked, "example.org", " ").text


def test_a_store_that_is_read_only_says_why_not(filled: Store):
    reading = open_store(filled.url, writable=False)
    with TestClient(create_app(reading), base_url=ADDRESS, headers=SENT_BY_US) as client:
        for path in ("/takedowns", "/takedowns/new"):
            text = client.get(path).text
            assert "is opened for reading" in text
            assert 'method="post"' not in text
        token = client.app.state.access.form_token  # type: ignore[attr-defined]
        form = {"form_token": token, "names": "example.org", "why": "x", "confirmed": "yes"}
        answer = client.post("/takedowns", data=form)
        assert answer.status_code == 400
        assert "is opened for reading" in answer.text


def test_links_bring_names_of_every_kind():
    assert asked_for({"uid": "A" * 32}) == "a" * 32
    assert asked_for({"url": "HTTPS://Example.org"}) == "https://example.org/"
    assert asked_for({"sha256": "b" * 64, "host": "example.org"}) == "b" * 64 + "\nexample.org"
    assert asked_for({"uid": "<script>", "url": "javascript:alert(1)"}) == ""


def test_the_empty_page_teaches(empty: TestClient):
    assert "sdflow forget" in empty.get("/takedowns").text
    assert empty.get("/takedowns/1").status_code == 404
    assert empty.get("/takedowns/1/holders").status_code == 404


def test_the_list_of_pictures_feeds_the_command_line(asked: TestClient, store: Store, row: dict[str, Any]):
    forget(store, [Name("uid", row["uid"])], "asked")
    answer = asked.get("/takedowns/1/names.txt")
    assert answer.text == row["sha256"] + "\n"
    assert "attachment" in answer.headers["content-disposition"]
