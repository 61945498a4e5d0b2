"""Two versions side by side: pictures with their galleries, choices, inputs, and where they part ways."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.versions import picture_changes
from dashboard.versions.difference import config_differences, funnel_differences
from dashboard.versions.flattened import differences
from dashboard.versions.picture_changes import PAGE, ChangesCache
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import refer
from stages.collect.report.diff import changes
from stages.record import uid_of
from stages.store import Store, open_store
from tests.dashboard.conftest import ADDRESS
from tests.dashboard.results import Choices, model
from tests.stages.versions import collection, dataset, image, reject

MANY = 130
"""Pictures that the second version adds: more than two pages of them."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """images/birds@1, @2 and datasets/birds@1, @2 on them."""
    store = open_store(str(tmp_path / "store"))
    before = [image("kept"), image("gone"), image("moved"), image("said", ["one"])]
    after = [image("kept"), image("moved", sha256="1" * 64), image("said", ["two"]), image("tried")]
    after += map(image, _added())
    old = collection(store, before, [reject("tried", "timeout")])
    new = collection(store, after, [reject("gone", "opted_out")])
    refer(store, "images/birds", old)
    refer(store, "images/birds", new)
    refer(store, "datasets/birds", dataset(store, old, ["kept", "gone"]))
    refer(store, "datasets/birds", dataset(store, new, ["kept", "said"]))
    return store


@pytest.fixture
def asked(store: Store) -> Iterator[TestClient]:
    with TestClient(create_app(store), base_url=ADDRESS) as client:
        yield client


def _added() -> list[str]:
    return [f"new{n}" for n in range(MANY)]


def _uids(text: str) -> list[str]:
    return re.findall(r'<li><a href="/images/([0-9a-f]{32})"', text)


def test_counts_are_a_part_of_the_page_and_a_page_without_a_script(asked: TestClient):
    text = asked.get("/diff?old=images/birds@1&new=images/birds@2").text
    path = re.search(r'hx-get="([^"]+)"', text)
    assert path
    address = path[1].replace("&amp;", "&")
    assert f'<a href="{path[1]}">' in text
    part = asked.get(address, headers={"HX-Request": "true"}).text
    assert "<html" not in part
    whole = asked.get(address).text
    assert "<html" in whole
    for counts in (part, whole):
        assert f"added, new row ({MANY})" in counts
        assert "added, timeout (1)" in counts
        assert "removed, opted out (1)" in counts
        assert "other bytes (1)" in counts
        assert "other captions (1)" in counts


def test_a_gallery_has_as_many_pictures_as_its_count_says(asked: TestClient):
    path = "/diff/pictures?old=images/birds@1&new=images/birds@2&change=added&reason=new_row"
    seen: list[str] = []
    pages = 0
    while path:
        text = asked.get(path).text
        seen += _uids(text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        path = following[1].replace("&amp;", "&") if following else ""
        pages += 1
    assert sorted(seen) == sorted(uid_of("test", name) for name in _added())
    assert pages == -(-MANY // PAGE)


def test_thumbnails_are_of_the_version_that_has_the_picture(store: Store, asked: TestClient):
    base = "/diff/pictures?old=images/birds@1&new=images/birds@2&change="
    fingerprints = re.findall(r"collections/([0-9a-f]{64})", asked.get("/references/images/birds").text)
    new, old = fingerprints
    assert _thumbnails(asked.get(base + "removed").text) == [(old, uid_of("test", "gone"))]
    assert _thumbnails(asked.get(base + "changed").text) == [
        (old, uid_of("test", "moved")), (new, uid_of("test", "moved"))
    ]  # fmt: skip
    assert _thumbnails(asked.get(base + "captions").text) == [(new, uid_of("test", "said"))]
    assert asked.get(base + "nonsense").status_code == 404


def _thumbnails(text: str) -> list[tuple[str, str]]:
    return re.findall(r"/artifacts/collect/([0-9a-f]{64})/thumbnails/([0-9a-f]{32})", text)


def test_datasets_part_ways_where_their_collections_do(asked: TestClient):
    text = asked.get("/diff?old=datasets/birds@1&new=datasets/birds@2").text
    line = text.split("Down the line")[1]
    rows = re.findall(r'<th scope="row"><a href="([^"]+)">(\w+)</a></th><td>(.*?)</td>', line)
    assert [(stage, what) for _, stage, what in rows] == [
        ("collect", "inputs: source"), ("filter", "inputs: images, source; and yet the same result")
    ]  # fmt: skip
    assert rows[0][0].startswith("/diff?old=")
    assert "The same choices" not in text
    assert asked.get("/diff?old=datasets/birds@1&new=images/birds@2").status_code == 400


def test_choices_and_figures_of_any_stage_are_compared(
    filled: Store, made: dict[str, Artifact], tmp_path: Path
):
    shutil.copytree(filled.url, tmp_path / "copy")
    store = open_store(str(tmp_path / "copy"))
    hostile = "<script>alert(1)</script>"
    for choices, said in (
        (Choices(), {"loss": 1.0}),
        (Choices(seed=3, text=hostile), {"loss": 0.25, "new": hostile}),
    ):
        refer(store, "models/two", model(store, made["shard"], choices, {}, **said))
    with TestClient(create_app(store), base_url=ADDRESS) as client:
        text = client.get("/diff?old=models/two@1&new=models/two@2").text
    assert re.search(r"seed</th><td>—</td><td>3</td>", text)
    assert re.search(r"loss</th><td>1</td><td>0.25</td><td[^>]*>-0.75</td>", text)
    assert hostile not in text
    assert "hx-get" not in text  # models hold no pictures that could be compared
    assert text.split("Down the line")[1].count(">the same<") == 5


def test_a_form_leads_to_what_it_says(asked: TestClient):
    text = asked.get("/diff").text
    assert 'href="/diff?old=images%2Fbirds%401&amp;new=images%2Fbirds%402"' in text
    answer = asked.get("/diff/of?name=images/birds&old=1&new=2", follow_redirects=False)
    assert answer.status_code == 303
    assert asked.get(answer.headers["location"]).status_code == 200
    wrong = asked.get("/diff?old=images/birds@1&new=images/birds@9")
    assert wrong.status_code == 400
    assert "it has 1, 2" in wrong.text
    assert asked.get("/diff?old=<b>x&new=<b>y").status_code == 400


def test_the_same_twice_is_said_to_be(asked: TestClient):
    assert "one and the same" in asked.get("/diff?old=images/birds@1&new=images/birds@1").text


def test_an_empty_store_says_what_makes_a_second_version(empty: TestClient):
    assert "No name has two versions yet" in empty.get("/diff").text


def test_what_is_compared_once_is_not_compared_again(store: Store, monkeypatch: pytest.MonkeyPatch):
    from dashboard.catalogue import Catalogue
    from dashboard.lineage.resolution import resolved

    contents = Catalogue(store).contents()
    old, new = (resolved(contents, f"images/birds@{n}") for n in (1, 2))
    cache = ChangesCache()
    first = cache.between(old, new)
    assert first.table.exists()
    monkeypatch.setattr(picture_changes, "write_changes", None)
    assert cache.between(old, new) is first
    monkeypatch.undo()
    monkeypatch.setattr(picture_changes, "PAIRS", 1)
    cache.between(new, old)
    assert not first.table.exists()
    assert len(changes(old, new)) == MANY + 4


def test_differences_are_by_path():
    old, new = {"a": {"b": 1, "c": [1, 2]}, "gone": True}, {"a": {"b": 2, "c": [1, 2]}, "come": None}
    assert [(each.path, each.old, each.new, each.change) for each in differences(old, new)] == [
        ("a.b", "1", "2", 1),
        ("come", "—", "none", None),
        ("gone", "yes", "—", None),
    ]


def test_funnels_have_every_reason_of_either(made: dict[str, Artifact]):
    rows = funnel_differences(made["collect"], made["filter"])
    assert [row.outcome for row in rows][:: len(rows) - 1] == ["rows in", "rows out"]
    assert {row.outcome for row in rows} >= {"too_small", "low_similarity"}
    assert sum(row.change for row in rows[1:]) == rows[0].change
    assert config_differences(made["collect"], made["collect"]) == []


def test_a_part_that_cannot_be_shown_says_why_in_its_place(asked: TestClient):
    """No page within the page."""
    answer = asked.get(
        "/diff/pictures?old=images/birds@1&new=datasets/birds@1", headers={"HX-Request": "true"}
    )
    assert answer.status_code == 404
    assert answer.text.startswith('<p class="warning">')
    assert "<html" not in answer.text
