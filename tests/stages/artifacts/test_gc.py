import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from stages.artifacts.artifact import Artifact, Funnel, artifacts
from stages.artifacts.gc import Swept, collect_garbage
from stages.artifacts.lease import acquire
from stages.artifacts.leaseholder import LeaseHolder
from stages.artifacts.seal import sealed
from stages.artifacts.status import running
from stages.errors import RetryableError
from stages.output import Output, PartResult, PartSpec
from stages.stage import Stats, stage
from stages.store import FolderStore, Store

NOW = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Config:
    words: tuple[str, ...] = ()


HOOK: list[Callable[[str], None]] = []


@stage(version=1, kind="spelling")
def spell(config: Config, out: Output) -> Stats:
    parts = out.parts([PartSpec(word, [word], word) for word in config.words], _spell, config={})
    for part in parts:
        out.add(part)
    return Stats(Funnel(0, 0))


def _spell(folder: Path, word: str) -> PartResult:
    for hook in HOOK:
        hook(word)
    (folder / f"{word}.txt").write_text(" ".join(word))
    return PartResult()


class Crash(BaseException):
    """As good as dead."""


def crash_at(word: str) -> Callable[[str], None]:
    def hook(current: str) -> None:
        if current == word:
            raise Crash

    return hook


@pytest.fixture(autouse=True)
def no_hook() -> None:
    HOOK.clear()


def crashed(store: Store, *words: str) -> None:
    """A run that dies over its last word."""
    HOOK.append(crash_at(words[-1]))
    with pytest.raises(Crash):
        spell(Config(words=words), store=store)
    HOOK.clear()


def made(store: Store, *words: str) -> Artifact:
    return spell(Config(words=words), store=store)


def age(store: FolderStore, seconds: float) -> None:
    then = time.time() - seconds
    for path in store.root.rglob("*"):
        os.utime(path, (then, then))


def test_nothing_of_a_finished_artifact_is_garbage(store: Store) -> None:
    artifact = made(store, "a", "b")
    swept = collect_garbage(store, grace=NOW)
    assert (swept.files, swept.parts, swept.busy) == (0, 0, ())
    assert artifact.verify() == []
    assert made(store, "a", "c").statistics["parts"] == {"made": 1, "found": 1}


def test_an_unfinished_run_is_kept_for_the_grace_and_then_swept(store: Store) -> None:
    crashed(store, "a", "b", "c")
    assert collect_garbage(store).parts == 0
    assert collect_garbage(store, grace=NOW, dry_run=True) == (swept := collect_garbage(store, grace=NOW))
    assert (swept.parts, swept.files, swept.bytes) == (2, 2, 2)
    assert list(store.list("parts")) == list(store.list("files")) == []
    assert made(store, "a", "b", "c").statistics["parts"] == {"made": 3, "found": 0}


def test_a_dry_run_deletes_nothing(store: Store) -> None:
    crashed(store, "a", "b")
    before = [one.key for one in store.list("")]
    assert collect_garbage(store, grace=NOW, dry_run=True).files == 1
    assert [one.key for one in store.list("")] == before


def test_old_unfinished_work_goes_by_its_age(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    crashed(store, "a", "x")
    age(store, 8 * 86400)
    crashed(store, "b", "x")
    assert collect_garbage(store).parts == 1
    assert made(store, "a", "b").statistics["parts"] == {"made": 1, "found": 1}


def test_ended_leases_of_finished_artifacts_go_and_others_stay(store: Store) -> None:
    made(store, "a")
    crashed(store, "b", "c")
    assert collect_garbage(store, grace=NOW).leases == 1
    (left,) = store.list("leases")
    assert spell.fingerprint(config=Config(words=("b", "c"))) in left.key


def test_a_stage_at_work_is_left_alone_and_others_are_swept(store: Store) -> None:
    @stage(version=1, kind="x")
    def other(config: Config, out: Output) -> Stats:
        out.write("a.txt").write_text("a")
        out.part("a", ["a"], _one)
        raise Crash

    with pytest.raises(Crash):
        other(Config(), store=store)
    crashed(store, "a", "b")
    lease = acquire(store, "spell", "ab" * 32, lambda _: False)
    assert lease is not None
    with lease:
        swept = collect_garbage(store, grace=NOW)
    assert (swept.parts, swept.files, swept.busy) == (1, 1, ("spell",))
    assert [one.key.split("/")[1] for one in store.list("parts")] == ["spell"]


def _one(folder: Path) -> PartResult:
    (folder / "a").write_text("a")
    return PartResult()


def test_gc_in_the_middle_of_a_run_takes_nothing_from_it(store: Store) -> None:
    crashed(store, "a", "b", "c")
    swept: list[Swept] = []
    HOOK.append(lambda word: swept.append(collect_garbage(store, grace=NOW)))
    artifact = made(store, "a", "b", "c", "d")
    assert artifact.statistics["parts"] == {"made": 2, "found": 2}
    assert [one.busy for one in swept] == [("spell",)] * 2
    assert artifact.verify() == []


PROGRAM = """
import sys
from stages.artifacts.artifact import Funnel
from stages.output import PartResult
from stages.stage import Stats, stage
from stages.store import open_store
from tests.stages.artifacts.test_gc import Config

@stage(version=1, kind="x")
def hang(config, out):
    while not list(out.store.list("status")):
        pass
    print("working", flush=True)
    sys.stdin.readline()
    return Stats(Funnel(0, 0))

hang(Config(), store=open_store(sys.argv[1]), run="birds")
"""


def test_the_status_of_a_process_that_was_killed_is_stale_and_goes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    store = FolderStore(tmp_path)
    (alive,) = running(store)
    assert (alive.stage, alive.run, alive.stale_since) == ("hang", "birds", "")
    assert collect_garbage(store, grace=NOW).statuses == 0
    process.kill()
    process.communicate()
    (dead,) = running(store)
    assert dead.stale_since
    assert collect_garbage(store, dry_run=True).statuses == 1
    assert [listed.key for listed in store.list("status")] != []
    assert collect_garbage(store).statuses == 1
    assert list(store.list("status")) == running(store) == []


def test_statuses_go_with_their_leases(store: Store) -> None:
    lease = acquire(store, "spell", "ab" * 32, lambda _: False)
    assert lease is not None
    with lease:
        for fingerprint in ("ab" * 32, "cd" * 32):
            store.create(f"status/spell/{fingerprint}/00000001.json", b"damaged, too")
        assert collect_garbage(store).statuses == 1
        (listed,) = store.list("status")
        assert "ab" * 32 in listed.key
    assert collect_garbage(store).statuses == 1


def test_another_hosts_status_goes_once_its_lease_is_abandoned(store: Store) -> None:
    store.create("status/spell/ef/00000001.json", b"x")
    vanished = LeaseHolder("t", "another-host", 1, 0.0, time.time() - 1)
    store.create("leases/spell/ef/00000001.json", sealed(asdict(vanished)))
    assert collect_garbage(store, watch=0).statuses == 0
    assert collect_garbage(store, watch=0.01).statuses == 1


def test_working_folders_of_the_dead_go_and_of_the_living_stay(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    dead, living, record = (
        store.scratch() / ("cd" * 8 + "-h-0"),
        store.scratch() / ("ab" * 8 + "-h-0"),
        "ef" * 16,
    )
    for folder in (dead, living):
        folder.mkdir()
        (folder / "file").write_text("x")
    (store.scratch() / record).write_text("on its way")
    lease = acquire(store, "spell", "ab" * 32, lambda _: False)
    assert lease is not None
    with lease:
        assert collect_garbage(store, grace=NOW).folders == 1
    assert sorted(path.name for path in store.scratch().iterdir()) == sorted([living.name, record])
    age(store, 7200)
    assert collect_garbage(store, grace=NOW).folders == 2


def test_probes_that_were_left_go_but_not_while_they_may_be_in_use(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.create("probe/abc", b"1")
    assert collect_garbage(store, grace=NOW).files == 0
    age(store, 7200)
    assert collect_garbage(store, grace=NOW).files == 1


def test_a_run_that_was_stopped_for_longer_than_its_lease_does_not_publish_what_was_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    crashed(store, "a", "b", "c")
    age(store, 8 * 86400)
    monkeypatch.setattr("stages.stage.acquire", partial(acquire, seconds=0.3))
    swept: list[Swept] = []

    def asleep(_: str) -> None:
        """For so long that the lease expired, and gc swept what the run had found."""
        late = asdict(LeaseHolder("t", "another-host", 1, 0.0, time.time() - 1))
        while not held_by_nobody(store, sealed(late)):
            pass
        while any(thread.name.startswith("lease ") for thread in threading.enumerate()):
            time.sleep(0.01)
        swept.append(collect_garbage(store, watch=0.01))

    HOOK.append(asleep)
    with pytest.raises(RetryableError, match=r"stopped for so long that a.txt, b.txt were swept"):
        made(store, "a", "b", "c")
    HOOK.clear()
    assert swept[0].parts == 2
    assert list(artifacts(store)) == []
    assert made(store, "a", "b", "c").verify() == []


def held_by_nobody(store: Store, record: bytes) -> bool:
    """Whether the highest record of the one lease is now this one, of a host that vanished."""
    newest = [one.key for one in store.list("leases")][-1]
    return store.create(f"{newest[:-13]}{int(newest[-13:-5]) + 1:08d}.json", record)


# damage


def damage(store: Store, prefix: str) -> str:
    """Other bytes for the one object below a prefix; its key."""
    (listed,) = store.list(prefix)
    store.delete([listed.key])
    assert store.create(listed.key, b'{"fi\x00es": ')
    return listed.key


def test_with_a_damaged_part_the_files_of_its_stage_stay(store: Store) -> None:
    crashed(store, "a", "b")
    key = damage(store, "parts")
    swept = collect_garbage(store)
    assert (swept.parts, swept.files) == (0, 0)
    (words,) = swept.damaged
    assert words.startswith(f"{key} in {store.url} is damaged: it is no JSON")
    assert "restore it from a copy, or delete it: then the part is made again" in words
    swept = collect_garbage(store, grace=NOW, keep_parts=True)
    assert (swept.parts, swept.files, len(swept.damaged)) == (0, 0, 1)
    again = made(store, "a", "b")
    assert again.statistics["parts"] == {"made": 2, "found": 0}
    assert key in again.statistics["warnings"][0]
    assert again.verify() == []
    assert collect_garbage(store, grace=NOW).damaged == ()


def test_with_a_damaged_manifest_every_file_and_part_stays(store: Store) -> None:
    made(store, "a")
    key = damage(store, "manifests")
    crashed(store, "b", "c")
    before = [one.key for one in store.list("") if not one.key.startswith("leases")]
    swept = collect_garbage(store, grace=NOW)
    assert (swept.parts, swept.files) == (0, 0)
    assert [one.key for one in store.list("") if not one.key.startswith("leases")] == before
    (words,) = swept.damaged
    assert words.startswith(f"{key} in {store.url} is damaged")
    assert "restore it from a copy" in words


def test_with_a_damaged_amendment_every_file_and_part_stays(store: Store) -> None:
    made(store, "a")
    crashed(store, "b", "c")
    key = f"amendments/spell/{'ab' * 32}/00000001.json"
    store.create(key, b"{")
    swept = collect_garbage(store, grace=NOW)
    assert (swept.parts, swept.files) == (0, 0)
    assert len(swept.damaged) == 1
    assert key in swept.damaged[0]
    store.delete([key])
    assert collect_garbage(store, grace=NOW).parts == 1


def test_a_damaged_lease_is_named_and_its_stage_left_alone_until_nothing_follows_it(store: Store) -> None:
    crashed(store, "a", "b")
    key = damage(store, "leases")
    swept = collect_garbage(store, grace=NOW, dry_run=True, watch=0)
    assert (swept.busy, swept.parts) == (("spell",), 0)
    assert swept.damaged[0].startswith(f"{key} in {store.url} is damaged")
    swept = collect_garbage(store, grace=NOW, watch=0.01)
    assert (swept.busy, swept.parts) == ((), 1)
    assert collect_garbage(store, grace=NOW, watch=0.01).damaged == ()
    assert made(store, "a", "b").verify() == []
