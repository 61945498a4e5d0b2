"""FIFOs, sockets, devices and folders where files should be: nothing waits for them."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.collect.sources.files import snapshot
from stages.collect.sources.folders import folder_rows
from stages.collect.sources.inspect import inspect_sources
from stages.collect.sources.limits import ReadContext
from stages.collect.sources.rows import SourceRow
from stages.config.collect import CollectConfig, FolderSource, ParquetSource, TarSource, UrlSource
from stages.errors import Stopped
from stages.fingerprint import sha256_of
from stages.regular_file import NotRegularFileError, kind_of, open_regular

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has neither FIFOs nor devices of this kind")


@pytest.fixture
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """What -> a path that leads to it."""
    folder = tmp_path_factory.mktemp("odd")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path must be short
        try:
            listening.bind("socket")
        finally:
            os.chdir(here)
        yield {
            "a FIFO": folder / "fifo",
            "a socket": folder / "socket",
            "a device": Path("/dev/zero"),
            "a folder": folder,
        }


def in_time(act: Callable[[], Any]) -> Any:
    """What an act gives; it fails where the act waits for what never comes."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(act())
        except Exception as error:  # noqa: BLE001 -- raised again in the thread of the test
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(120)  # far more than any machine needs: only a wait without an end is that long
    assert results, "it waits"
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def test_only_regular_files_are_opened(odd: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"data"
        assert kind_of(tmp_path / name) == ""
    before = len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
    for kind, path in odd.items():
        (tmp_path / "to").unlink(missing_ok=True)
        (tmp_path / "to").symlink_to(path)
        for act in (open_regular, sha256_of):
            with pytest.raises(NotRegularFileError, match=f"it is {kind}, no regular file"):
                in_time(lambda act=act: act(tmp_path / "to"))
        assert kind_of(path) == kind
    if sys.platform == "linux":
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


def test_a_folder_that_holds_them(odd: dict[str, Path], tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "a.jpg").write_bytes(b"")
    os.mkfifo(inside / "b.jpg")
    os.mkfifo(inside / "a.txt")
    os.mkfifo(inside / "metadata.jsonl")
    (inside / "c.jpg").symlink_to(odd["a device"])
    source = FolderSource(name="dir", folder=str(inside))
    heard: list[str] = []

    def rows() -> list[SourceRow]:
        return list(folder_rows(source, {}, None, ReadContext(warn=heard.append)))

    assert [row.location for row in in_time(rows)] == ["a.jpg"]
    (warning,) = heard
    assert warning.startswith("source 'dir': passed over, for they are no files of the folder: ")
    assert "is a FIFO" in warning
    assert warning.endswith("and 1 more")
    assert set(in_time(lambda: snapshot(CollectConfig(folders=(source,)))).contents["dir"]) == {"a.jpg"}
    (guess,) = in_time(lambda: inspect_sources([str(inside)]))
    assert guess.kind == "folders"


@pytest.mark.parametrize("kind", ["a FIFO", "a socket", "a device"])
def test_tables_and_tars_that_are_none(odd: dict[str, Path], tmp_path: Path, kind: str) -> None:
    for suffix in ("csv", "jsonl.zst", "parquet", "tar"):
        path = tmp_path / f"t.{suffix}"
        path.symlink_to(odd[kind])
        sources: list[CollectConfig] = [
            CollectConfig(urls=(UrlSource(name="x", tables=(pattern,)),))
            for pattern in (str(path), f"file://{path}", f"{tmp_path}/*", f"zip://t.csv::{path}")
        ]
        sources.append(CollectConfig(tars=(TarSource(name="x", tars=(str(path),)),)))
        sources.append(CollectConfig(parquets=(ParquetSource(name="x", tables=(str(path),)),)))
        for config in sources:
            with pytest.raises(ValueError, match=f"is {kind}, no regular file|there is no file"):
                in_time(lambda config=config: snapshot(config))
        with pytest.raises(ValueError, match=f"is {kind}, no regular file"):
            in_time(lambda path=path: inspect_sources([str(path)]))
        path.unlink()


def test_hashing_the_sources_heeds_a_stop(tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(bytes(5_000_000))
    config = CollectConfig(tars=(TarSource(name="x", tars=(str(tmp_path / "t.tar"),)),))
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        snapshot(config, check)
    assert len(calls) == 3
