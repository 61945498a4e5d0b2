"""Disks that are full, or fail: one line with the place, what to do, and the same command goes on.

A limit on the size of files is a real full disk for a process without privileges (EFBIG), `/dev/full` one for
a single file, and `/proc/self/mem` a file that cannot be read (EIO).
"""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from stages.artifacts.activity import leases_in_use
from stages.artifacts.artifact import Artifact
from stages.artifacts.gc import collect_garbage
from stages.collect.collect import collect
from stages.collect.sources.files import snapshot
from stages.config.collect import CollectConfig, FolderSource
from stages.config.run import DedupConfig
from stages.dedup import dedup
from stages.errors import DiskError, NoSpaceError, disk_fault, naming_disk_faults
from stages.store import FolderStore, Store, open_store
from tests.stages.collect.conftest import picture

LIMITED = """
import resource, sys
from pathlib import Path
import duckdb, numpy as np, pyarrow as pa, pyarrow.parquet as pq
from safetensors.numpy import save_file
from stages.errors import NoSpaceError, naming_disk_faults
place = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
large = np.zeros(10_000, "uint8")
noise = np.random.default_rng(0).integers(0, 255, 10_000)

def in_duckdb():
    with duckdb.connect(str(place / "d.duckdb")) as db:
        db.execute("CREATE TABLE t AS SELECT range FROM range(100000)")

def spilling():
    limits = {"temp_directory": str(place / "t"), "memory_limit": "8MB", "threads": 1}
    with duckdb.connect(config=limits) as db:
        db.execute("CREATE TABLE t AS SELECT range AS x, md5(range::VARCHAR) AS y FROM range(1000000)")

writers = {
    "python": lambda: (place / "a").write_bytes(bytes(10_000)),
    "numpy": lambda: np.save(place / "b.npy", large),
    "arrow": lambda: pq.write_table(pa.table({"x": noise}), place / "c.parquet"),
    "safetensors": lambda: save_file({"x": large}, place / "e.safetensors"),
    "duckdb": in_duckdb,
    "spilling": spilling,
}
for name, write in writers.items():
    try:
        with naming_disk_faults(f"the place of {name}"):
            write()
    except NoSpaceError as error:
        print(name, "no space left for the place of " + name in str(error), "make room there" in str(error))
"""


def test_every_library_that_writes_is_understood(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = ("python", "numpy", "arrow", "safetensors", "duckdb", "spilling")
    assert done.stdout.splitlines() == [f"{name} True True" for name in names]


def test_a_full_device_and_an_unreadable_file_are_told_apart() -> None:
    def write() -> None:
        with naming_disk_faults("x"):
            Path("/dev/full").write_bytes(b"1")

    def read() -> None:
        with naming_disk_faults("x"), Path("/proc/self/mem").open("rb") as file:
            file.read(10)

    with pytest.raises(NoSpaceError, match=r"no space left for x \(\[Errno 28\]"):
        write()
    with pytest.raises(DiskError, match=r"the disk fails for x \(\[Errno 5\].*look after it"):
        read()


OTHERS = [
    ValueError("No space left on device"),
    OSError(errno.ENOENT, "none"),
    duckdb.IOException("another"),
    pa.ArrowInvalid("Input"),
    KeyError("x"),
]


@pytest.mark.parametrize("error", OTHERS)
def test_what_is_about_no_disk_stays_what_it_is(error: Exception) -> None:
    assert disk_fault(error) is None
    with pytest.raises(type(error), match=re.escape(str(error))), naming_disk_faults("x"):
        raise error


def test_temporary_files_that_found_no_room_are_a_full_disk(tmp_path: Path) -> None:
    limits = {"memory_limit": "8MB", "threads": 1, "temp_directory": str(tmp_path / "t")}
    large = "CREATE TABLE t AS SELECT range AS x, md5(range::VARCHAR) AS y FROM range(1000000)"
    with duckdb.connect(config=limits) as db:
        db.execute("SET max_temp_directory_size = '1MB'")
        with pytest.raises(NoSpaceError, match="no space left for x"), naming_disk_faults("x"):
            db.execute(large)


def test_what_cannot_be_read_is_named_with_its_key(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "bad").symlink_to("/proc/self/task")  # a folder where a file should be
    (tmp_path / "files" / "worse").symlink_to("/proc/self/mem")
    with pytest.raises(DiskError, match=f"store {tmp_path}, files/worse"), naming_disk_faults("else"):
        store.sha256("files/worse")
    assert not store.exists("files/bad")


def test_a_folder_that_cannot_be_listed_does_not_look_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage collection would take every file for unnamed."""
    store = FolderStore(tmp_path)
    store.create("manifests/a/b.json", b"1")
    scan = os.scandir

    def failing(path: str | os.PathLike[str]) -> object:
        if Path(path) == tmp_path / "manifests":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(DiskError, match="manifests"):
        list(store.list("manifests"))
    with pytest.raises(DiskError):
        collect_garbage(store)


STAGES = """
import resource, sys
from tests.stages.test_disk import line, open_store
def limited(limit):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
cases = [("collect", 2_000), ("collect", 30_000), ("dedup", 200), ("dedup", 1_000)]
for which, limit in cases:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        line(open_store(sys.argv[1]), sys.argv[2], {which: limited(limit)})
    except Exception as error:
        print(type(error).__name__, str(error), flush=True)
"""


def line(store: Store, pictures: str, before: Mapping[str, Callable[[], None]]) -> tuple[Artifact, Artifact]:
    """Collected and deduplicated; `before` is called before the stage of that name."""
    config = CollectConfig(folders=(FolderSource(name="f", folder=pictures),), workers=1, part_rows=4)
    before.get("collect", lambda: None)()
    images = collect(None, snapshot(config), None, config, store=store)
    before.get("dedup", lambda: None)()
    return images, dedup(images, DedupConfig(workers=1), store=store)


@pytest.mark.slow  # starts a process that imports everything
def test_a_stage_on_a_full_disk_says_where_and_goes_on(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(8):
        (pictures / f"{number}.png").write_bytes(picture(number, 64))
        (pictures / f"{number}.txt").write_text("some words")
    store = tmp_path / "store"
    command = [sys.executable, "-c", STAGES, str(store), str(pictures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = done.stdout.splitlines()
    places = ("collect, which reads store|part ", "part |plan.duckdb", "store .*leases/dedup", "part ")
    assert len(told) == len(places), done.stdout + done.stderr
    for words, place in zip(told, places, strict=True):
        assert words.startswith("NoSpaceError no space left for ")
        assert re.search(place, words)
        assert str(store) in words
        assert "start the same run again: what is finished is kept" in words
    opened = open_store(str(store))
    assert leases_in_use(opened) == []
    made = line(opened, str(pictures), {})
    fresh = line(open_store(str(tmp_path / "fresh")), str(pictures), {})
    assert [one.digest for one in made] == [one.digest for one in fresh]
    assert all(one.verify() == [] for one in made)
