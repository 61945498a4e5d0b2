"""Where work lies before it is published: a folder of this user alone, or a refusal that says why."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.store import Cache, Store, open_store


def of_folder(tmp_path: Path) -> tuple[Path, Callable[[], Path]]:
    return tmp_path / "store" / f"tmp-{os.geteuid()}", lambda: open_store(str(tmp_path / "store")).scratch()


def of_bucket(tmp_path: Path) -> tuple[Path, Callable[[], Path]]:
    return tmp_path / f"sdflow-{os.geteuid()}", lambda: open_store("memory://private").scratch()


def of_cache(tmp_path: Path) -> tuple[Path, Callable[[], Path]]:
    def fetch() -> Path:
        store = open_store("memory://private", cache=Cache(tmp_path / "cache", 1000))
        store.create("files/empty", b"")
        return store.fetch("files/empty", EMPTY, 0).parents[2]

    return tmp_path / "cache", fetch


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
Place = tuple[Path, Callable[[], Path]]


@pytest.fixture(params=[of_folder, of_bucket, of_cache])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The private folder of a store, and what makes it."""
    monkeypatch.setattr("stages.store.remote.gettempdir", lambda: str(tmp_path))
    return request.param(tmp_path)


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_it_is_made_for_its_user_alone_whatever_the_umask(place: Place):
    folder, make = place
    before = os.umask(0)
    try:
        used = make()
    finally:
        os.umask(before)
    assert used == folder or used.parent == folder
    assert mode(folder) == mode(used) == 0o700 or used.name == "files"


def test_one_of_this_user_that_others_could_read_is_closed(place: Place):
    folder, make = place
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    make()
    assert mode(folder) == 0o700


@pytest.mark.parametrize("open_mode", [0o777, 0o1777, 0o770, 0o702])
def test_one_that_others_can_write_to_is_refused(place: Place, open_mode: int):
    folder, make = place
    folder.mkdir(parents=True)
    folder.chmod(open_mode)
    with pytest.raises(ValueError, match=rf"{folder} can be written by other users \(mode {open_mode:04o}\)"):
        make()
    assert mode(folder) == open_mode
    assert list(folder.iterdir()) == []


def test_one_of_another_user_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch):
    folder, make = place
    folder.mkdir(mode=0o700, parents=True)
    mine = os.geteuid()
    if mine == 0:
        os.chown(folder, 12345, 12345)
        other, me = 12345, 0
    else:
        monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
        folder.rename(folder.with_name(folder.name.replace(str(mine), str(mine + 1))))
        other, me = mine, mine + 1
    with pytest.raises(ValueError, match=f"belongs to user {other}, not to user {me}"):
        make()


def test_a_link_in_its_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stages.store.remote.gettempdir", lambda: str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    for folder, make in (of_folder(tmp_path), of_bucket(tmp_path)):
        folder.parent.mkdir(exist_ok=True)
        folder.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(ValueError, match=f"{folder} is a link"):
            make()


def test_a_cache_may_lie_on_another_disk(tmp_path: Path):
    (tmp_path / "disk").mkdir(mode=0o700)
    folder, make = of_cache(tmp_path)
    folder.symlink_to(tmp_path / "disk")
    make()
    assert (tmp_path / "disk" / "files").is_dir()


def test_a_store_that_is_only_read_needs_no_such_folder(tmp_path: Path):
    (tmp_path / "store").mkdir()
    store: Store = open_store(str(tmp_path / "store"), writable=False)
    assert list(store.list("")) == []
    assert list((tmp_path / "store").iterdir()) == []
