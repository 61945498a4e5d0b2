"""A store's format: recorded when it is new; a store of another one is refused in one line."""

import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages.errors import DamagedError
from stages.store import Listed, ReadOnlyStore, Store, open_store
from stages.store.format import FORMAT, KEY, check_format

RECORD, LATER = (b'{"format": %d}' % number for number in (FORMAT, FORMAT + 1))


@pytest.fixture(params=["folder", "memory", "s3"])
def unmarked(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store without a record of its format."""
    urls = {"folder": str(tmp_path / "store"), "memory": f"memory://{uuid.uuid4().hex}"}
    url = urls.get(request.param) or request.getfixturevalue("s3")
    open_store(url).delete([KEY])
    return url


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("key", ["manifests/score/ab.json", "parts/score/cd/ef.json"])
def test_a_store_of_before_is_refused(unmarked: str, key: str, writable: bool) -> None:
    store = open_store(unmarked)
    store.create(key, b"{}")
    store.delete([KEY])
    with pytest.raises(ValueError, match=rf"is of format 1, .* format {FORMAT}: name a new store") as error:
        open_store(unmarked, writable=writable)
    assert "\n" not in str(error.value)
    assert not store.exists(KEY)


@pytest.mark.parametrize("writable", [True, False])
def test_a_store_of_a_later_version_is_refused(unmarked: str, writable: bool) -> None:
    store = open_store(unmarked)
    store.delete([KEY])
    store.create(KEY, LATER)
    with pytest.raises(ValueError, match=rf"is of format {FORMAT + 1}, .*update sdflow"):
        open_store(unmarked, writable=writable)


def test_a_new_store_gets_its_record_when_it_is_opened_to_write(unmarked: str) -> None:
    assert not open_store(unmarked, writable=False).exists(KEY)
    assert json.loads(open_store(unmarked).read(KEY)) == {"format": FORMAT}
    store = open_store(unmarked)
    store.create("manifests/score/ab.json", b"{}")
    assert open_store(unmarked, writable=False).read(KEY) == store.read(KEY)


def test_all_who_open_a_new_store_at_once_may_write(unmarked: str) -> None:
    openers = 8
    gate = threading.Barrier(openers)

    def work(number: int) -> bool:
        gate.wait()
        return open_store(unmarked).create(f"manifests/score/{number}.json", b"{}")

    with ThreadPoolExecutor(openers) as threads:
        assert all(threads.map(work, range(openers)))


class Overtaken(ReadOnlyStore):
    """A new store in which another process works between any two looks."""

    def __init__(self, store: Store, record: bytes) -> None:
        super().__init__(store)
        self.store, self.record = store, record

    def list(self, prefix: str) -> Iterator[Listed]:
        self.store.create(KEY, self.record)
        return self.store.list(prefix)

    def create(self, key: str, data: bytes) -> bool:
        return self.store.create(key, data)


@pytest.mark.parametrize("key", ["manifests/score/ab.json", "other"])
def test_who_was_overtaken_keeps_to_the_others_format(unmarked: str, key: str) -> None:
    store = open_store(unmarked)
    store.create(key, b"{}")
    store.delete([KEY])
    check_format(Overtaken(store, RECORD), writable=True)
    store.delete([KEY])
    with pytest.raises(ValueError, match=f"is of format {FORMAT + 1}"):
        check_format(Overtaken(store, LATER), writable=True)
    assert store.read(KEY) == LATER


@pytest.mark.parametrize(
    "record", [b"", b"{", b"[]", b"{}", b'{"format": "2"}', b'{"format": true}', b'{"format": 0}', b"\xff"]
)
def test_a_damaged_record_of_the_format_is_named(tmp_path: Path, record: bytes) -> None:
    open_store(str(tmp_path))
    (tmp_path / KEY).write_bytes(record)
    for writable in (True, False):
        with pytest.raises(DamagedError, match=rf"{KEY} in .* names no format .*restore it from a copy"):
            open_store(str(tmp_path), writable=writable)
