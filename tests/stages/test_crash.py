"""Whatever crashes, and wherever: an artifact is finished or absent, and what was finished is not made again.

Three ways of asking: a state machine that crashes a run at any operation of the store; a run and a garbage
collection whose operations interleave in any order; and a real kill -9 at any line of the core.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stages.artifacts.activity import leases_in_use
from stages.artifacts.artifact import Artifact, Funnel, artifacts
from stages.artifacts.files import FileEntry
from stages.artifacts.gc import GRACE, collect_garbage
from stages.artifacts.reference import refer, references
from stages.fingerprint import digest_of
from stages.output import Output, PartResult, PartSpec
from stages.stage import Stats, stage
from stages.store import Cache, FolderStore, Listed, Store, open_store

EFFORT = int(os.environ.get("CRASH_EFFORT", "1"))
"""How many times harder to look; above 1, elsewhere on each run."""
NOW = timedelta(0)
WORDS = "abcd"


@dataclass(frozen=True, kw_only=True)
class Config:
    words: tuple[str, ...] = ()


@stage(version=1, kind="spelling")
def spell(config: Config, out: Output) -> Stats:
    """A part for each word, shared by all configs, and one file that is no part."""
    parts = out.parts([PartSpec(word, [word], word) for word in config.words], _spell, config={})
    for part in parts:
        out.add(part)
    out.write("count.txt").write_text(str(len(parts)))
    return Stats(sum((part.funnel for part in parts if part.funnel), Funnel(0, 0)))


def _spell(folder: Path, word: str) -> PartResult:
    (folder / f"{word}.txt").write_text(word * 3)
    return PartResult(Funnel(1, 1))


def undisturbed(config: Config) -> str:
    """The digest of a run that nothing happened to."""
    contents = {f"{word}.txt": word * 3 for word in config.words} | {"count.txt": str(len(config.words))}
    return digest_of({name: hashlib.sha256(text.encode()).hexdigest() for name, text in contents.items()})


def recorded(store: Store) -> set[str]:
    """Words whose parts are on record, with their files."""
    found: set[str] = set()
    for record in store.list("parts"):
        said = json.loads(store.read(record.key))
        if all(store.exists(entry["key"]) for entry in said["files"].values()):
            found.add(said["key"])
    return found


class Crash(BaseException):
    """The process is gone: nothing that it would still have done is done."""


class Watched:
    """A store of which every operation goes through `around`: (key, operation) -> its result."""

    def __init__(self, store: Store, around: Callable[[str, Callable[[], Any]], Any]) -> None:
        self.store, self.around, self.url = store, around, store.url

    def create(self, key: str, data: bytes) -> bool:
        return self.around(key, lambda: self.store.create(key, data))

    def put(self, key: str, path: Path) -> None:
        self.around(key, lambda: self.store.put(key, path))

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return self.around(key, lambda: self.store.read(key, offset, length))

    def exists(self, key: str) -> bool:
        return self.around(key, lambda: self.store.exists(key))

    def sha256(self, key: str) -> str:
        return self.around(key, lambda: self.store.sha256(key))

    def list(self, prefix: str) -> Iterator[Listed]:
        yield from self.around(prefix, lambda: list(self.store.list(prefix)))

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.around(key, lambda key=key: self.store.delete([key]))

    def fetch(self, key: str, sha256: str, size: int) -> Path:
        return self.around(key, lambda: self.store.fetch(key, sha256, size))

    def uncache(self, sha256: str) -> None:
        self.around(sha256, lambda: self.store.uncache(sha256))

    def scratch(self) -> Path:
        return self.store.scratch()


def crashing(store: Store, at: int, after: bool) -> Watched:
    """A store whose user dies at operation number `at`, before or after it took effect."""
    count = 0
    lock = threading.Lock()

    def around(_: str, operation: Callable[[], Any]) -> Any:
        nonlocal count
        with lock:
            count += 1
            if count > at or (count == at and not after):
                raise Crash
            result = operation()
            if count == at:
                raise Crash
            return result

    return Watched(store, around)


@pytest.fixture(autouse=True)
def statuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statuses are written by the run's own thread, so that each operation of the store has its number."""

    def at_once(work: Callable[[], None]) -> Callable[[float], None]:
        work()
        return lambda seconds: None

    monkeypatch.setattr("stages.artifacts.status_writer.in_background", at_once)


# any operation of the store

CONFIGS = st.lists(st.sampled_from(WORDS), unique=True, max_size=4).map(
    lambda words: Config(words=tuple(words))
)


class Crashes(RuleBasedStateMachine):
    """Publish, crash, resume, reuse, refer, gc, read, verify, in any order."""

    @initialize()
    def begin(self) -> None:
        self.store: Store = open_store(f"memory://{uuid.uuid4().hex}", cache=CACHE)
        self.published: dict[str, Artifact] = {}
        self.history: list[str] = []

    def run(self, config: Config, store: Store) -> None:
        before = recorded(self.store)
        artifact = spell(config, store=store)
        assert artifact.digest == undisturbed(config)
        if not artifact.cached:
            found = len(before & set(config.words))
            assert artifact.statistics["parts"] == {"made": len(config.words) - found, "found": found}
        else:
            assert artifact.fingerprint in self.published
        self.keep(artifact)

    def keep(self, artifact: Artifact) -> None:
        first = self.published.setdefault(artifact.fingerprint, artifact)
        assert first.manifest == artifact.manifest

    @rule(config=CONFIGS)
    def publish_or_resume_or_reuse(self, config: Config) -> None:
        self.run(config, self.store)
        assert recorded(self.store) >= set(config.words)

    @rule(config=CONFIGS, at=st.integers(1, 45), after=st.booleans())
    def crash(self, config: Config, at: int, after: bool) -> None:
        before = recorded(self.store)
        try:
            self.run(config, crashing(self.store, at, after))
        except Crash:
            event("crashed")
        assert recorded(self.store) >= before
        finished = spell.find(config=config, store=self.store)
        if finished is not None:
            assert finished.digest == undisturbed(config)
            self.keep(finished)

    @rule(grace=st.sampled_from([NOW, GRACE]))
    def gc(self, grace: timedelta) -> None:
        before = recorded(self.store)
        collect_garbage(self.store, grace=grace)
        named = {key for artifact in artifacts(self.store) for key in map(_key, artifact.files.values())}
        if grace == NOW:
            assert {one.key for one in self.store.list("files")} == named
        else:
            assert recorded(self.store) == before

    @rule(at=st.integers(1, 40), after=st.booleans())
    def crash_in_gc(self, at: int, after: bool) -> None:
        try:
            collect_garbage(crashing(self.store, at, after), grace=NOW)
        except Crash:
            event("crashed in gc")

    @rule(config=CONFIGS, at=st.integers(1, 45))
    def gc_in_the_middle_of_a_run(self, config: Config, at: int) -> None:
        count = 0

        def around(_: str, operation: Callable[[], Any]) -> Any:
            nonlocal count
            count += 1
            if count == at:
                collect_garbage(self.store, grace=NOW)
            return operation()

        artifact = spell(config, store=Watched(self.store, around))
        assert artifact.digest == undisturbed(config)
        self.keep(Artifact.open(self.store, "spell", artifact.fingerprint))

    @rule(config=CONFIGS, at=st.integers(1, 40))
    def run_in_the_middle_of_gc(self, config: Config, at: int) -> None:
        count = 0

        def around(_: str, operation: Callable[[], Any]) -> Any:
            nonlocal count
            count += 1
            if count == at:
                self.keep(spell(config, store=self.store))
            return operation()

        collect_garbage(Watched(self.store, around), grace=NOW)

    @rule(data=st.data())
    def refer(self, data: st.DataObject) -> None:
        if self.published:
            chosen = data.draw(st.sampled_from(sorted(self.published)))
            refer(self.store, "words/all", self.published[chosen])
            if self.history[-1:] != [chosen]:
                self.history.append(chosen)

    @invariant()
    def an_artifact_is_finished_or_absent(self) -> None:
        found = {artifact.fingerprint: artifact for artifact in artifacts(self.store)}
        assert found.keys() == self.published.keys()
        for artifact in found.values():
            assert artifact.verify() == []

    @invariant()
    def histories_stand(self) -> None:
        assert [entry.fingerprint for entry in references(self.store, "words/all")] == self.history

    @invariant()
    def nobody_holds_a_lease(self) -> None:
        assert leases_in_use(self.store) == []


def _key(entry: FileEntry) -> str:
    return entry.key


CACHE: Cache


@pytest.fixture(autouse=True)
def one_cache(tmp_path: Path) -> None:
    global CACHE
    CACHE = Cache(tmp_path / "cache", 10**9)


def test_crashes() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Crashes,
        settings=settings(
            max_examples=60 * EFFORT, stateful_step_count=12, deadline=None, derandomize=EFFORT == 1
        ),
    )


# any order of operations


def unpublished(store: Store, config: Config) -> None:
    """A run that dies when all its parts are recorded and nothing is published."""

    def around(key: str, operation: Callable[[], Any]) -> Any:
        if key.startswith("manifests/") and recorded(store) == set(config.words):
            raise Crash
        return operation()

    with pytest.raises(Crash):
        spell(config, store=Watched(store, around))


class Turns:
    """Lets the operations of two actors through in a given order, one at a time."""

    def __init__(self, order: Iterable[bool]) -> None:
        self.order = iter(order)
        self.turn = next(self.order, True)
        self.ended: set[bool] = set()
        self.changed = threading.Condition()

    def watched(self, store: Store, actor: bool) -> Watched:
        def around(_: str, operation: Callable[[], Any]) -> Any:
            with self.changed:
                self.changed.wait_for(lambda: self.turn == actor or (not actor) in self.ended, timeout=300)
                try:
                    return operation()
                finally:
                    self.turn = next(self.order, not self.turn)
                    self.changed.notify_all()

        return Watched(store, around)

    def end(self, actor: bool) -> None:
        with self.changed:
            self.ended.add(actor)
            self.changed.notify_all()


@settings(
    max_examples=100 * EFFORT,
    deadline=None,
    derandomize=EFFORT == 1,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(order=st.lists(st.booleans(), min_size=10, max_size=90), words=st.sampled_from(["ab", "abc", "bd"]))
def test_gc_takes_nothing_that_a_run_beside_it_uses(order: list[bool], words: str) -> None:
    store = open_store(f"memory://{uuid.uuid4().hex}", cache=CACHE)
    unpublished(store, Config(words=tuple("abcd")))
    assert recorded(store) == set("abcd")
    turns = Turns(order)

    def run() -> Artifact:
        try:
            return spell(Config(words=tuple(words)), store=turns.watched(store, True))
        finally:
            turns.end(True)

    def sweep() -> None:
        try:
            collect_garbage(turns.watched(store, False), grace=NOW)
        finally:
            turns.end(False)

    with ThreadPoolExecutor(2) as threads:
        running, sweeping = threads.submit(run), threads.submit(sweep)
        sweeping.result()
        found = running.result().statistics["parts"]["found"]
    event(f"{found} parts found")
    (artifact,) = artifacts(store)
    assert artifact.digest == undisturbed(Config(words=tuple(words)))
    assert artifact.verify() == []


# any line


def lines_of(run: Callable[[], object], kill_at: int) -> int:
    """Count the lines of the core that `run` executes in this thread; kill -9 this process at one of them."""
    count = 0

    def trace(frame: FrameType, what: str, argument: object) -> Any:
        nonlocal count
        if f"{os.sep}stages{os.sep}" not in frame.f_code.co_filename and frame.f_code.co_filename != __file__:
            return None
        if what == "line":
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    return count


def killed(run: Callable[[], object], at: int) -> bool:
    """Whether a process that runs it is killed before it ends."""
    child = os.fork()
    if child == 0:
        signal.alarm(300)
        lines_of(run, at)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.waitstatus_to_exitcode(status) != 0


def test_a_run_killed_at_any_line_is_resumed(tmp_path: Path) -> None:
    config = Config(words=tuple("abc"))
    # The first run also fills caches of facts about this machine.
    first, second = FolderStore(tmp_path / "first"), FolderStore(tmp_path / "second")
    lines_of(lambda: spell(config, store=first), 0)
    total = lines_of(lambda: spell(config, store=second), 0)
    moments = range(1, total - 10, max(1, total // (24 * EFFORT)))
    found: set[int] = set()
    for moment in moments:
        store = FolderStore(tmp_path / f"{moment}")
        assert killed(lambda store=store: spell(config, store=store), moment)
        finished = spell.find(config=config, store=store)
        before = recorded(store)
        assert finished is None or finished.verify() == []
        artifact = spell(config, store=store)
        assert artifact.digest == undisturbed(config)
        assert artifact.cached == (finished is not None)
        if not artifact.cached:
            assert artifact.statistics["parts"] == {"made": 3 - len(before), "found": len(before)}
        found.add(len(before))
        collect_garbage(store, grace=NOW)
        assert artifact.verify() == []
        assert list(store.scratch().rglob("*.txt")) == []
    assert found == {0, 1, 2, 3}
    assert killed(lambda: spell(config, store=FolderStore(tmp_path / "late")), total + 10**6) is False


PROGRAM = """
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from stages.artifacts.artifact import Funnel
from stages.engine import Processes
from stages.output import PartResult, PartSpec, Silent
from stages.stage import Stats, stage
from stages.store import open_store

@dataclass(frozen=True)
class Config:
    parts: int = 8

@stage(version=1, kind="numbers")
def count(config, out):
    parts = out.parts([PartSpec(str(n), [str(n)], n) for n in range(config.parts)], write, Processes(2))
    for part in parts:
        out.add(part)
    return Stats(Funnel(0, 0))

def write(folder: Path, number: int) -> PartResult:
    (folder / f"{number}.txt").write_text(str(number) * 1000)
    return PartResult()

class Telling(Silent):
    def progress(self, stage, done, total, note):
        print(done, flush=True)
        if str(done) == sys.argv[2]:
            time.sleep(600)

if __name__ == "__main__":
    artifact = count(Config(), store=open_store(sys.argv[1]), reporter=Telling())
    print(artifact.digest, artifact.statistics["parts"]["made"], artifact.verify())
"""


@pytest.mark.slow  # starts processes that start processes
def test_a_run_over_processes_killed_from_outside_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)

    def start(store: str, hang_at: int) -> "subprocess.Popen[str]":
        command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / store), str(hang_at)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    digest = start("undisturbed", -1).communicate()[0].splitlines()[-1].split()[0]
    for moment in (1, 5):
        process = start("killed", moment)
        assert process.stdout is not None
        while int(process.stdout.readline()) < moment:
            pass
        process.kill()
        process.communicate()
        assert len(list(FolderStore(tmp_path / "killed").list("parts"))) == moment
    first, *_, last = start("killed", -1).communicate()[0].splitlines()
    assert first == "5"
    assert last.split() == [digest, "3", "[]"]
