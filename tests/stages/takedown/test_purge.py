"""What is left of a picture, and of everything else, after its purge."""

import io
import json
import shutil
import tarfile
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sdmodel.data.index import read_index
from stages.artifacts.amendment import all_amendments
from stages.artifacts.artifact import Artifact, artifacts
from stages.artifacts.gc import collect_garbage
from stages.artifacts.lease import Clock, acquire, append
from stages.artifacts.leaseholder import LeaseHolder, lease_log
from stages.config.run import FilterConfig, ShardConfig
from stages.errors import DamagedError, RetryableError
from stages.filter import filter_
from stages.image import ImageError, decode_image
from stages.output import Output, PartResult
from stages.shard import shard
from stages.stage import Stats, stage
from stages.store import FolderStore, Store
from stages.takedown.purge import Purged, purge
from stages.takedown.records import Name, Takedown, forget, takedowns
from tests.stages.holding import (
    DRAWING,
    PICTURES,
    SHARDS,
    Nothing,
    all_bytes,
    fill,
    found,
    refreshed,
)
from tests.stages.test_crash import Crash, Watched


def gone(store: Store, number: int) -> Takedown:
    return forget(store, [Name("url", PICTURES[number].name)], "asked")


def whole(store: Store) -> None:
    """What artifacts and parts name is there, and is what they say."""
    for part in store.list("parts"):
        entries = json.loads(store.read(part.key))["files"].values()
        assert all(store.exists(entry["key"]) for entry in entries)
    for artifact in artifacts(store):
        assert artifact.verify() == []
        assert Artifact.open(store, artifact.stage, artifact.fingerprint).files == artifact.files


def test_nothing_of_the_picture_is_left_and_everything_else_is(store: Store, own_cache: Path):
    filled = fill(store)
    manifests = {listed.key: store.read(listed.key) for listed in store.list("manifests")}
    assert found(store, own_cache, 0) == {"file", "small", "embedding"}
    takedown = gone(store, 0)

    expected = purge(store, takedown, dry_run=True)
    assert found(store, own_cache, 0) == {"file", "small", "embedding"}
    assert not all_amendments(store)
    purged = purge(store, takedown)
    # tars of collect and shard, small pictures, crops, embeddings, a drawing; all in a later edition too
    assert (purged.files, purged.artifacts) == (expected.files, expected.artifacts) == (6, 6)
    assert purged.bytes == expected.bytes > 2 * len(PICTURES[0].data)
    assert purged.parts >= 2  # of dedup, and of the collection that never ended
    assert purged.busy == ()

    assert found(store, own_cache, 0) == set()
    assert DRAWING[60:100] not in all_bytes(store, own_cache)
    for number in range(1, 6):
        assert found(store, own_cache, number) == {"file", "small", "embedding"}
    assert {listed.key: store.read(listed.key) for listed in store.list("manifests")} == manifests
    whole(store)
    for old in filled.values():
        new = Artifact.open(store, old.stage, old.fingerprint)
        assert (new.digest, new.manifest) == (old.digest, old.manifest)
        (amendment,) = new.amendments
        assert (amendment.takedown, amendment.reason) == (1, "take-down 1: asked")
    assert [json.loads(store.read(part.key))["key"] for part in store.list("parts/collect")] == ["without"]

    assert purge(store, takedown) == Purged(0, 0, 0, 0)
    collect_garbage(store, grace=timedelta(0))
    whole(store)
    assert found(store, own_cache, 1) == {"file", "small", "embedding"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled store to be copied."""
    root = tmp_path_factory.mktemp("purge") / "store"
    fill(FolderStore(root))
    return root


@pytest.fixture
def filled(folder: Path, tmp_path: Path) -> FolderStore:
    return FolderStore(Path(shutil.copytree(folder, tmp_path / "filled")))


def of_kind(store: Store, kind: str) -> list[Artifact]:
    return sorted((one for one in artifacts(store) if one.kind == kind), key=lambda one: one.manifest.ended)


def test_reading_what_was_purged_fails_and_says_so(filled: FolderStore):
    gone_uid = PICTURES[0].uid
    purge(filled, gone(filled, 0))
    for images in of_kind(filled, "images"):
        for row in images.table("images").to_dict("records"):
            data = images.read(row["file"], row["offset"], row["length"])
            if row["uid"] == PICTURES[0].uid:
                with pytest.raises(ImageError):
                    decode_image(data)
            else:
                assert data in {picture.data for picture in PICTURES}
    (dataset,) = of_kind(filled, "dataset")
    members: dict[str, bytes] = {}
    for name in dataset.names("shards/"):
        with tarfile.open(dataset.path(name)) as tar:
            members |= {member.name: tar.extractfile(member).read() for member in tar}
    assert len(members) == 3 * len(PICTURES)
    for name, data in members.items():
        assert (data.count(0) == len(data)) == (Path(name).stem == PICTURES[0].uid)
    (images, _) = of_kind(filled, "images")
    (selection,) = of_kind(filled, "selection")
    with pytest.raises(DamagedError, match=rf"picture {gone_uid} .* was purged after a take-down"):
        shard(images, selection, ShardConfig(shard_rows=2, workers=1), store=filled)
    tars = {name: dataset.path(name) for name in dataset.names("shards/")}
    (split,) = {row["split"] for row in dataset.table("index").to_dict("records") if row["uid"] == gone_uid}
    index = read_index(dataset.path("index.parquet"), tars, split)
    with pytest.raises(ValueError, match=rf"picture {gone_uid} .* was purged after a take-down"):
        index.bytes_of(index.uids.index(gone_uid))


def test_later_versions_leave_it_out(filled: FolderStore):
    takedown = gone(filled, 0)
    purge(filled, takedown)
    images, _ = of_kind(filled, "images")
    read = [images, *of_kind(filled, "duplicates"), *of_kind(filled, "scores")]
    selection = filter_(*read, takedowns(filled), FilterConfig(), store=filled)
    assert selection.funnel.reasons == {"taken_down": 1}
    again = shard(images, selection, SHARDS, store=filled)
    assert sorted(again.table("index")["uid"]) == sorted(picture.uid for picture in PICTURES[1:])
    whole(filled)


def test_several_takedowns_of_one_file(filled: FolderStore, own_cache: Path):
    first, second = gone(filled, 0), gone(filled, 2)
    purge(filled, first)
    assert found(filled, own_cache, 2)
    assert purge(filled, second).files == 5  # the drawing is grey already
    assert found(filled, own_cache, 0) == found(filled, own_cache, 2) == set()
    assert found(filled, own_cache, 1)
    whole(filled)
    assert {a.takedown for images in of_kind(filled, "images") for a in images.amendments} == {1, 2}


def test_what_a_run_published_in_the_meantime_is_amended_by_the_next_call(filled: FolderStore):
    images, later = of_kind(filled, "images")  # opened before
    takedown = gone(filled, 0)
    purge(filled, takedown)
    late = refreshed(images, Nothing(seed=1), store=filled)
    assert late.verify() != []
    with pytest.raises(DamagedError):
        late.path(late.names("tars/")[0])
    assert purge(filled, takedown).files == 0
    whole(filled)
    now = Artifact.open(filled, "collect", late.fingerprint)
    assert now.files.items() >= {name: now.entry(name) for name in now.names("tars/")}.items()
    assert now.entry(now.names("tars/")[0]) == Artifact.open(filled, "collect", later.fingerprint).entry(
        later.names("tars/")[0]
    )


def test_nobody_may_be_at_work(filled: FolderStore):
    takedown = gone(filled, 0)
    lease = acquire(filled, "train", "ab" * 32, lambda holder: False)
    assert lease is not None
    with lease, pytest.raises(RetryableError, match="train at work"):
        purge(filled, takedown)
    assert purge(filled, takedown).files == 6


class Passing(Clock):
    """Time passes where somebody sleeps."""

    now = 0.0

    def watch(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("held", ["purge/all", "train/" + "ab" * 32])
def test_a_lease_that_a_vanished_host_left_keeps_nobody_from_purging(filled: FolderStore, held: str):
    takedown = gone(filled, 0)
    nobody = LeaseHolder("t", "vanished boot pid:[1]", 1, 0.0, time.time() + 366 * 86_400)
    append(lease_log(filled, f"leases/{held}"), 1, nobody)
    clock = Passing()
    assert purge(filled, takedown, clock=clock).files == 6
    assert clock.now >= 60


def test_a_damaged_part_goes_with_its_files(filled: FolderStore):
    """Nobody knows whether they hold the picture."""
    takedown = gone(filled, 0)
    key = next(filled.list("parts/collect")).key
    filled.delete([key])
    assert filled.create(key, b"{")
    purge(filled, takedown)
    assert not filled.exists(key)
    whole(filled)


def test_a_takedown_that_nothing_holds_changes_nothing(filled: FolderStore):
    purged = purge(filled, forget(filled, [Name("host", "else.org")], "asked"))
    assert (purged.files, purged.artifacts, purged.parts) == (0, 0, 0)
    assert not all_amendments(filled)


@pytest.mark.parametrize(
    "name",
    [
        Name("url", "https://img.never.org:81/p.png"),
        Name("host", "never.org"),
        Name("host", "img.never.org"),
        Name("host", "[::1]"),
    ],
)
def test_of_a_collection_that_never_ended_parts_with_its_answers_go(filled: FolderStore, name: Name):
    held = b"bytes of a picture that is in no collection"

    @stage(version=1, kind="images", name="collect")
    def unfinished(config: Nothing, out: Output) -> Stats:
        def make(folder: Path, urls: list[str]) -> PartResult:
            (folder / "0.tar").write_bytes(_tar(held if urls[0].startswith("https") else b"else"))
            pq.write_table(pa.table({"key": ["1", "2"], "url": urls}), folder / "fetches.parquet")
            return PartResult()

        wanted = ["https://img.never.org:81/p.png", "http://[::1]:80/x"]
        out.part("with", ["1"], lambda folder: make(folder, wanted))
        out.part("without", ["2"], lambda folder: make(folder, ["http://evernever.org/", "http://[::2]/"]))
        raise Crash

    with pytest.raises(Crash):
        unfinished(Nothing(seed=5), store=filled)
    before = len(list(filled.list("parts/collect")))
    assert purge(filled, forget(filled, [name], "asked")).parts == 1
    assert len(list(filled.list("parts/collect"))) == before - 1
    assert held not in b"".join(filled.read(listed.key) for listed in filled.list("files"))


def _tar(data: bytes) -> bytes:
    buffer, member = io.BytesIO(), tarfile.TarInfo("0.png")
    member.size = len(data)
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def dying(store: Store, at: int) -> Watched:
    """A store whose user dies just before changing something for the `at`-th time."""
    count = 0
    lock = threading.Lock()

    def around(operation: Callable[[], Any], changes: bool) -> Any:
        nonlocal count
        with lock:
            count += changes
            if count >= at:
                raise Crash
        return operation()

    class Dying(Watched):
        def create(self, key: str, data: bytes) -> bool:
            return around(lambda: self.store.create(key, data), True)

        def put(self, key: str, path: Path) -> None:
            around(lambda: self.store.put(key, path), True)

        def delete(self, keys: Any) -> None:
            for key in keys:
                around(lambda key=key: self.store.delete([key]), True)

    return Dying(store, lambda _, operation: around(operation, False))


@pytest.mark.slow
def test_stopped_anywhere_it_is_ended_by_the_next_call(
    folder: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("stages.takedown.purge.BATCH", 2)
    for at in range(1, 60):
        store = FolderStore(Path(shutil.copytree(folder, tmp_path / str(at))))
        takedown = gone(store, 0)
        try:
            purge(dying(store, at), takedown)
        except Crash:
            ended = False
        else:
            ended = True
        whole(store)
        purge(store, takedown)
        assert found(store, own_cache, 0) == set()
        for number in (1, 3):
            assert found(store, own_cache, number) == {"file", "small", "embedding"}
        whole(store)
        if ended:
            break
        shutil.rmtree(tmp_path / str(at))
    else:
        pytest.fail("it never ended")
    assert at > 15
