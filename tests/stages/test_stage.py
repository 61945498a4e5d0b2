import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stages.artifacts.activity import leases_in_use
from stages.artifacts.artifact import Artifact, Funnel, Snapshot, artifacts
from stages.artifacts.excerpt import Excerpt, origin_of
from stages.artifacts.lease import acquire
from stages.artifacts.status import Status, running
from stages.errors import NoSpaceError, Stopped
from stages.output import Output, PartResult, PartSpec, Silent
from stages.reporter import Wait
from stages.stage import Stage, Stats, stage
from stages.store import Store, open_store


@dataclass(frozen=True, kw_only=True)
class Config:
    words: tuple[str, ...] = ("one", "two", "three")
    workers: int = field(default=1, metadata={"neutral": True})


CALLS: list[tuple[str, ...]] = []


@stage(version=1, kind="spelling")
def spell(source: Snapshot | None, config: Config, out: Output) -> Stats:
    """Spell words: a part each."""
    CALLS.append(config.words)
    parts = out.parts([PartSpec(word, [word], word) for word in config.words], _spell, config={})
    for part in parts:
        out.add(part)
    out.write("logs/where.txt").write_text(str(out.folder))
    return Stats(
        sum((part.funnel for part in parts if part.funnel), Funnel(0, 0)), {"words": len(config.words)}
    )


def _spell(folder: Path, word: str) -> PartResult:
    (folder / f"{word}.txt").write_text(" ".join(word))
    return PartResult(Funnel(1, 1))


@stage(version=1, kind="count")
def count_(spelling: Artifact, config: Config, out: Output) -> Stats:
    names = spelling.names()
    out.write("count.json").write_text(str(len(names)))
    return Stats(Funnel(len(names), len(names)))


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def test_a_stage_is_named_for_its_function() -> None:
    assert (spell.name, spell.version, spell.kind, spell.inputs) == ("spell", 1, "spelling", ["source"])
    assert count_.name == "count"
    assert spell.__doc__ == "Spell words: a part each."


def test_the_same_call_again_is_answered_from_the_store(store: Store) -> None:
    assert spell.find(None, config=Config(), store=store) is None
    first = spell(None, Config(), store=store)
    again = spell(None, Config(workers=8), store=store)
    assert (first.cached, again.cached) == (False, True)
    assert first.manifest == again.manifest
    assert len(CALLS) == 1
    found = spell.find(None, config=Config(), store=store)
    assert found is not None
    assert found.manifest == first.manifest
    assert first.verify() == []
    assert leases_in_use(store) == []


def test_the_manifest_tells_what_was_asked_and_what_came(store: Store) -> None:
    source = Snapshot("cd" * 32)
    artifact = spell(source, Config(words=("a", "bc")), store=store)
    assert artifact.fingerprint == spell.fingerprint(source, config=Config(words=("a", "bc")))
    assert artifact.config == {"words": ["a", "bc"]}
    assert artifact.manifest.inputs == {"source": {"digest": "cd" * 32, "fingerprint": "", "stage": ""}}
    assert artifact.funnel == Funnel(2, 2)
    assert artifact.statistics == {"words": 2, "parts": {"made": 2, "found": 0}}
    assert artifact.names() == ["a.txt", "bc.txt", "logs/where.txt"]
    assert artifact.manifest.libraries["python"].startswith("3.")
    assert artifact.manifest.started < artifact.manifest.ended


def test_a_changed_config_reuses_the_parts_that_stay(store: Store) -> None:
    first = spell(None, Config(words=("a", "b")), store=store)
    second = spell(None, Config(words=("b", "c")), store=store)
    assert second.statistics["parts"] == {"made": 1, "found": 1}
    assert second.entry("b.txt") == first.entry("b.txt")


def test_the_digest_is_made_of_results_alone(tmp_path: Path) -> None:
    digests = {spell(None, Config(), store=open_store(str(tmp_path / name))).digest for name in ("a", "b")}
    assert len(digests) == 1
    assert spell(None, Config(words=("one",)), store=open_store(str(tmp_path / "a"))).digest not in digests


def test_inputs_count_by_their_digest(store: Store) -> None:
    one = spell(Snapshot("11" * 32), Config(), store=store)
    other = spell(Snapshot("22" * 32), Config(), store=store)
    assert one.fingerprint != other.fingerprint
    assert one.digest == other.digest
    assert not count_(one, Config(), store=store).cached
    assert count_(other, Config(), store=store).cached, "an input with the same digest is the same input"


class Looking(Silent):
    """Keeps what the store says of what runs, once something is told."""

    def __init__(self, store: Store, words: str) -> None:
        self.store, self.words = store, words
        self.statuses: list[Status] = []

    def warn(self, stage: str, words: str) -> None:
        if words == self.words:
            until(lambda: bool(list(self.store.list("status"))))
            self.statuses += running(self.store)


def until(happens: Callable[[], bool]) -> None:
    """Wait for another thread."""
    while not happens():
        time.sleep(0.01)


@stage(version=1, kind="odd")
def looked_at(config: Config, out: Output) -> Stats:
    out.warn("look")
    if config.words == ("fails",):
        raise ValueError("as it should")
    if config.words == ("stops",):
        raise Stopped("as it should")
    return Stats(Funnel(1, 1))


@pytest.mark.parametrize("end", ["finishes", "fails", "stops"])
def test_a_stage_leaves_its_status_while_it_works_and_takes_it_away(store: Store, end: str) -> None:
    looking = Looking(store, "look")
    with pytest.raises((ValueError, Stopped), match="as it should") if end != "finishes" else nullcontext():
        looked_at(Config(words=(end,)), store=store, reporter=looking, run="birds")
    (status,) = looking.statuses
    assert (status.stage, status.run, status.stale_since) == ("looked_at", "birds", "")
    assert status.fingerprint == looked_at.fingerprint(config=Config(words=(end,)))
    assert list(store.list("status")) == running(store) == []


def test_whoever_makes_it_under_whatever_name_it_is_the_same(tmp_path: Path) -> None:
    first, second = (open_store(str(tmp_path / name)) for name in "ab")
    named = spell(None, Config(), store=first, run="birds")
    unnamed = spell(None, Config(), store=second)
    assert (named.fingerprint, named.digest) == (unnamed.fingerprint, unnamed.digest)
    assert named.statistics == unnamed.statistics
    assert "birds" not in named.manifest.to_json().decode()


def test_a_wrong_number_of_inputs_is_named() -> None:
    with pytest.raises(TypeError, match=r"spell takes \(source\), got 2 inputs"):
        spell.fingerprint(None, None, config=Config())


def test_a_stage_without_config_and_output_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="must end in"):
        Stage(lambda config: Stats(Funnel(0, 0)), "bad", 1, "x")


@pytest.mark.parametrize(
    "error", [ValueError("a wrong column"), ConnectionError("reset"), KeyboardInterrupt()]
)
def test_whatever_is_raised_nothing_is_half_published(store: Store, error: BaseException) -> None:
    @stage(version=1, kind="x")
    def failing(config: Config, out: Output) -> Stats:
        out.write("a.txt").write_text("a")
        out.parts([PartSpec("a", ["a"], "a")], _spell)
        raise error

    with pytest.raises(type(error)):
        failing(Config(), store=store)
    assert list(artifacts(store)) == []
    assert leases_in_use(store) == []
    assert not [path for path in store.scratch().rglob("*") if path.is_file()]


def test_what_it_wants_done_afterwards_is_done_once_it_is_published(store: Store) -> None:
    seen: list[bool] = []

    @stage(version=1, kind="x")
    def tidy(config: Config, out: Output) -> Stats:
        out.on_published(lambda: seen.append(tidy.find(config=config, store=store) is not None))
        return Stats(Funnel(0, 0))

    tidy(Config(), store=store)
    assert seen == [True]


@pytest.mark.parametrize("place", ["body", "record", "manifest"])
def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    store = open_store(str(tmp_path))

    @stage(version=1, kind="x")
    def filling(config: Config, out: Output) -> Stats:
        if place == "body":
            raise OSError(errno.ENOSPC, "No space left on device")
        if place == "record":
            monkeypatch.setattr(os, "fsync", full)
        out.parts([PartSpec("a", ["a"], "a")], _spell)
        monkeypatch.setattr(os, "fsync", full)
        return Stats(Funnel(0, 0))

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NoSpaceError, match="make room there"):
        filling(Config(), store=store)
    monkeypatch.undo()
    assert list(artifacts(store)) == []
    assert not [path for path in store.scratch().rglob("*") if path.is_file()]


# the same request at once


def test_of_many_threads_one_works_and_all_get_its_artifact(store: Store) -> None:
    gate = threading.Barrier(8)

    def run(_: int) -> Artifact:
        gate.wait()
        return spell(None, Config(), store=store)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(run, range(8)))
    assert len(CALLS) == 1
    assert len({one.manifest.started for one in results}) == 1
    assert sorted(one.cached for one in results) == [False] + [True] * 7


class Heard(Silent):
    """Keeps what it hears; stops when told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.waits: list[Wait] = []
        self.stop = False

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        self.notes.append(note)

    def waiting(self, stage: str, wait: Wait) -> None:
        self.waits.append(wait)

    def stopping(self) -> bool:
        return self.stop


def test_whoever_waits_is_told_and_may_be_stopped(store: Store) -> None:
    heard = Heard()
    fingerprint = spell.fingerprint(None, config=Config())
    lease = acquire(store, "spell", fingerprint, lambda _: False)
    assert lease is not None
    with lease, ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(spell, None, Config(), store=store, reporter=heard)
        while not heard.notes:
            time.sleep(0.01)
        heard.stop = True
        with pytest.raises(Stopped, match="while it waited"):
            waiting.result()
    assert f"(process {os.getpid()}) until it is done, or gone (it works on the same)" in heard.notes[0]
    assert heard.waits[0].subject in heard.notes[0]
    assert CALLS == []


def test_the_first_publisher_stands(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    attempts: list[int] = []
    inner: list[Artifact] = []

    @stage(version=1, kind="x")
    def slow(config: Config, out: Output) -> Stats:
        attempts.append(len(attempts))
        if len(attempts) == 1:  # somebody on another host thinks that this lease has expired
            store.delete([one.key for one in store.list("leases")])
            inner.append(slow(config, store=store))
        out.write("a.txt").write_text(str(len(inner)))
        return Stats(Funnel(0, 0))

    artifact = slow(Config(), store=store)
    assert attempts == [0, 1]
    assert artifact.cached
    assert artifact.manifest == inner[0].manifest
    assert artifact.verify() == []


@dataclass(frozen=True)
class Nothing:
    pass


@stage(version=1, kind="x")
def shared(config: Nothing, out: Output) -> Stats:
    out.write("a.txt").write_text("a")
    return Stats(Funnel(0, 0))


RUNNING = """
import sys
from dataclasses import dataclass
from stages.artifacts.artifact import Funnel
from stages.stage import Stats, stage
from stages.store import open_store

@dataclass(frozen=True)
class Nothing:
    pass

@stage(version=1, kind="x")
def shared(config, out):
    print("working", flush=True)
    sys.stdin.readline()
    out.write("a.txt").write_text("a")
    return Stats(Funnel(0, 0))

print(shared(Nothing(), store=open_store(sys.argv[1])).manifest.started, flush=True)
"""


@pytest.fixture
def second_process(tmp_path: Path) -> "Iterator[subprocess.Popen[str]]":
    """Another process that works on the stage `shared` until it gets a line."""
    command = [sys.executable, "-c", RUNNING, str(tmp_path / "store")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        yield process
        process.kill()


def test_a_second_process_is_waited_for_and_its_artifact_reused(
    tmp_path: Path, second_process: "subprocess.Popen[str]"
) -> None:
    heard = Heard()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(shared, Nothing(), store=open_store(str(tmp_path / "store")), reporter=heard)
        while not heard.notes:
            time.sleep(0.01)
        started = second_process.communicate("\n")[0].strip()
        assert waiting.result().cached
        assert waiting.result().manifest.started == started
    assert f"(process {second_process.pid})" in heard.notes[0]


def test_a_second_process_that_was_killed_is_not_waited_for(
    tmp_path: Path, second_process: "subprocess.Popen[str]"
) -> None:
    second_process.kill()
    os.waitid(
        os.P_PID, second_process.pid, os.WEXITED | os.WNOWAIT
    )  # a signal takes its time; nobody reaps it
    heard = Heard()
    artifact = shared(Nothing(), store=open_store(str(tmp_path / "store")), reporter=heard)
    assert not artifact.cached
    assert heard.notes == []
    assert artifact.verify() == []


def test_an_excerpt_counts_beside_its_artifact(store: Store) -> None:
    spelling = spell(Snapshot("1"), Config(), store=store)
    fingerprints = [
        count_.fingerprint(start, config=Config())  # type: ignore[arg-type]
        for start in (spelling, Excerpt(spelling, "letter", "a"), Excerpt(spelling, "letter", "b"))
    ]
    assert len(set(fingerprints)) == 3


def test_a_manifest_names_an_excerpt_and_the_artifact(store: Store) -> None:
    @stage(version=1, kind="count")
    def first(spelling: Excerpt, config: Config, out: Output) -> Stats:
        return Stats(Funnel(0, 0))

    spelling = spell(Snapshot("1"), Config(), store=store)
    made = first(Excerpt(spelling, "letter", "a" * 64), Config(), store=store)
    assert made.manifest.inputs == {
        "spelling": {"digest": spelling.digest, "fingerprint": spelling.fingerprint, "stage": "spell"},
        "spelling.letter": {"digest": "a" * 64, "fingerprint": "", "stage": ""},
    }
    assert origin_of("spelling.letter", made.manifest.inputs) == "a part of spelling"
    assert origin_of("source", spelling.manifest.inputs) == "outside"
    assert [artifact.fingerprint for artifact in made.ancestors()] == [spelling.fingerprint]
    assert made.verify() == []
