"""A name's history: what every version is, what held it back, and who let it through."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.pages.references import PAGE
from stages.artifacts.reference import ON_HOLD, approve, refer
from stages.store import Store, open_store
from tests.dashboard.conftest import ADDRESS
from tests.stages.versions import collection, image

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def asked(store: Store) -> Iterator[TestClient]:
    with TestClient(create_app(store), base_url=ADDRESS) as client:
        yield client


def test_holds_and_approvals_are_told_with_their_reasons(store: Store, asked: TestClient):
    first, second, third = (collection(store, [image(name)]) for name in ("a", "b", "c"))
    refer(store, "images/birds", first, {"edition": HOSTILE})
    refer(store, "images/birds", second, {ON_HOLD: ["it has 1 picture and should have 2", HOSTILE]})
    refer(store, "images/birds", third, {ON_HOLD: ["rows fell by half"]})
    approve(store, "images/birds@3", why=f"the source shrank {HOSTILE}", by="Ada")
    text = asked.get("/references/images/birds").text
    rows = re.findall(r'<th scope="row">@(\d)</th>(.*?)</tr>', text, re.DOTALL)
    assert [number for number, _ in rows] == ["3", "2", "1"]
    approved, held, released = (row for _, row in rows)
    assert "by Ada" in approved
    assert "the source shrank" in approved
    assert "rows fell by half" in approved
    assert "on hold" in held
    assert "sdflow approve images/birds@2" in held
    assert "released" in released
    assert 'href="/diff?old=images%2Fbirds%401&amp;new=images%2Fbirds%402"' in held
    assert "with @" not in released
    assert "<strong>@3</strong>" in text
    assert "<img src=x" not in text
    assert "\x1b" not in text


def test_a_long_history_is_paged(store: Store, asked: TestClient):
    both = [collection(store, [image(name)]) for name in ("a", "b")]
    for number in range(PAGE + 10):
        refer(store, "images/birds", both[number % 2])
    first = asked.get("/references/images/birds").text
    older = re.search(r'rel="next" href="(\?before=\d+)"', first)
    assert older
    second = asked.get(f"/references/images/birds{older[1]}").text
    numbers = [int(n) for text in (first, second) for n in re.findall(r'<th scope="row">@(\d+)</th>', text)]
    assert numbers == list(range(PAGE + 10, 0, -1))
    assert "with @10" in first  # its neighbour stands on the next page
    assert 'rel="next"' not in second


def test_a_damaged_approval_hides_nothing_else(store: Store, asked: TestClient):
    refer(store, "images/birds", collection(store, [image("a")]), {ON_HOLD: ["why"]})
    path = Path(store.url) / "approvals/images/birds/00000001.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    answer = asked.get("/references/images/birds")
    assert answer.status_code in (200, 400)
    assert "approvals/images/birds/00000001.json" in answer.text


def test_a_name_that_is_none_is_not_found(asked: TestClient):
    assert asked.get("/references/images/none").status_code == 404
