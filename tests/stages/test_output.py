import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stages.artifacts.artifact import Funnel
from stages.artifacts.files import FileEntry
from stages.artifacts.lease import Clock
from stages.artifacts.status import running
from stages.engine import Processes, Threads
from stages.errors import Stopped
from stages.output import Output, Part, PartResult, PartSpec, Silent
from stages.reporter import Wait
from stages.store import Store, open_store


@dataclass(frozen=True, kw_only=True)
class Config:
    rate: float = 0.5
    workers: int = field(default=1, metadata={"neutral": True})


class Maker:
    """Makes a part of one file; remembers what it was asked for."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def __call__(self, folder: Path, payload: Any) -> PartResult:
        self.made.append(payload)
        (folder / "words").mkdir()
        (folder / "words" / f"{payload}.txt").write_text(f"word {payload}")
        return PartResult(Funnel(2, 1, {"too_small": 1}), {"length": 5})


class Stopping(Silent):
    """Stops once a number of progress calls was heard."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.heard: list[tuple[int, int, str]] = []

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        self.heard.append((done, total, note))

    def stopping(self) -> bool:
        return len(self.heard) >= self.after


def output(store: Store, reporter: Silent | None = None, *, version: int = 1, config: Any = None) -> Output:
    return Output(store, "score", version, config or {}, "ab" * 32, reporter or Silent())


def specs(*numbers: int) -> list[PartSpec]:
    return [PartSpec(f"part-{number}", [f"digest-{number}"], number) for number in numbers]


def test_a_part_is_made_once(store: Store) -> None:
    make = Maker()
    first = output(store).parts(specs(1, 2), make)
    second = output(store).parts(specs(2, 3, 1), make)
    assert make.made == [1, 2, 3]
    assert [part.key for part in second] == ["part-2", "part-3", "part-1"]
    assert [part.cached for part in first + second] == [False, False, True, False, True]
    for part, number in zip(second, (2, 3, 1), strict=True):
        assert part.names() == [f"words/{number}.txt"]
        assert part.read(f"words/{number}.txt") == b"word %d" % number
        assert part.path(f"words/{number}.txt").read_bytes() == b"word %d" % number
        assert part.funnel == Funnel(2, 1, {"too_small": 1})
        assert part.statistics == {"length": 5}


def test_what_was_recorded_before_an_error_is_kept(store: Store) -> None:
    make = Maker()

    def fails(folder: Path, payload: int) -> PartResult:
        if payload == 3:
            raise ConnectionError("no answer")
        return make(folder, payload)

    with pytest.raises(ConnectionError):
        output(store).parts(specs(1, 2, 3, 4), fails)
    assert make.made == [1, 2]
    output(store).parts(specs(1, 2, 3, 4), make)
    assert make.made == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "other",
    [
        {"inputs": ["digest-1", "more"]},
        {"version": 2},
        {"config": {"rate": 0.25}},
        {"own": Config(rate=0.75)},
    ],
)
def test_another_request_is_another_part(tmp_path: Path, other: dict[str, Any]) -> None:
    store = open_store(str(tmp_path))
    make = Maker()
    output(store).parts(specs(1), make)
    out = output(store, version=other.get("version", 1), config=other.get("config"))
    out.parts([PartSpec("part-1", other.get("inputs", ["digest-1"]), 1)], make, config=other.get("own"))
    assert make.made == [1, 1]


def test_a_part_that_names_its_own_config_survives_changes_of_the_rest(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    make = Maker()
    output(store, config={"threshold": 1}).parts(specs(1), make, config=Config(rate=0.25))
    output(store, config={"threshold": 2}).parts(specs(1), make, config=Config(rate=0.25, workers=7))
    output(store, config={"threshold": 3}).parts(specs(1), make, config={"rate": 0.25})
    assert make.made == [1]


def test_one_part_by_itself(store: Store) -> None:
    made: list[str] = []

    def make(folder: Path) -> PartResult:
        made.append("once")
        (folder / "a.txt").write_text("a")
        return PartResult()

    assert output(store).find("one", ["x"]) is None
    for _ in range(2):
        part = output(store).part("one", ["x"], make)
        assert part.read("a.txt") == b"a"
        assert part.funnel is None
    assert made == ["once"]
    found = output(store).find("one", ["x"])
    assert found is not None
    assert found.cached


def test_a_folder_may_become_a_part(store: Store) -> None:
    out = output(store)
    folder = out.folder / "snapshot"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"123")
    out.record("snapshot", ["7"], folder, PartResult(statistics={"images": 7}))
    found = output(store).find("snapshot", ["7"])
    assert found is not None
    assert found.read("weights.bin") == b"123"
    assert not folder.exists()
    out.forget(found)
    assert output(store).find("snapshot", ["7"]) is None


def test_a_part_whose_files_are_gone_is_made_again(store: Store) -> None:
    make = Maker()
    (part,) = output(store).parts(specs(1), make)
    store.delete([part.entry("words/1.txt").key])
    assert output(store).find("part-1", ["digest-1"]) is None
    (again,) = output(store).parts(specs(1), make)
    assert again.read("words/1.txt") == b"word 1"
    found = output(store).find("part-1", ["digest-1"])
    assert found is not None
    assert found.files == again.files


def test_the_first_record_of_a_part_stands(store: Store) -> None:
    make = Maker()
    inner: list[Part] = []

    def meanwhile(folder: Path, payload: int) -> PartResult:
        inner.extend(output(store).parts(specs(payload), make))
        return make(folder, payload)

    (outer,) = output(store).parts(specs(1), meanwhile)
    assert outer.files == inner[0].files


def test_processes_make_parts_too(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    made = output(store).parts(
        [PartSpec("a", ["a"], "a.txt"), PartSpec("b", ["b"], "b.txt")], _touch, Processes(1)
    )
    assert [part.names() for part in made] == [["a.txt"], ["b.txt"]]


def _touch(folder: Path, name: str) -> PartResult:
    (folder / name).touch()
    return PartResult()


def test_a_link_is_no_file_of_a_part(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    (tmp_path / "real").write_text("x")

    def make(folder: Path, payload: int) -> PartResult:
        (folder / "link").symlink_to(tmp_path / "real")
        return PartResult()

    with pytest.raises(AssertionError, match="a link"):
        output(store).parts(specs(1), make)


# result files


def test_files_are_added_by_reference_and_written(store: Store) -> None:
    out = output(store)
    for part in out.parts(specs(1, 2), Maker()):
        out.add(part)
    out.write("tables/facts.json").write_text("{}")
    out.publish_written()
    assert sorted(out.files) == ["tables/facts.json", "words/1.txt", "words/2.txt"]
    assert store.read(out.files["tables/facts.json"].key) == b"{}"


def test_the_same_bytes_under_one_name_are_one_file(tmp_path: Path) -> None:
    out = output(open_store(str(tmp_path)))
    out.add({"tars/a.tar": FileEntry("old/key", 3, "11" * 32)})
    out.add({"tars/a.tar": FileEntry("new/key", 3, "11" * 32)})
    assert out.files["tars/a.tar"].key == "old/key"
    with pytest.raises(AssertionError, match=r"two files of the artifact are called 'tars/a.tar'"):
        out.add({"tars/a.tar": FileEntry("new/key", 3, "22" * 32)})


def test_closing_leaves_no_working_folder(store: Store) -> None:
    out = output(store)
    out.parts(specs(1), Maker())
    out.close()
    assert not out.folder.exists()


# whoever runs the stage


def test_progress_counts_found_and_made_parts(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    output(store).parts(specs(1, 2), Maker())
    reporter = Stopping(99)
    output(store, reporter).parts(specs(1, 2, 3, 4), Maker(), note="words")
    assert reporter.heard == [(2, 4, "words"), (3, 4, "words"), (4, 4, "words")]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_stopping_keeps_what_is_finished(tmp_path: Path, after: int) -> None:
    store = open_store(str(tmp_path))
    make = Maker()
    with pytest.raises(Stopped, match="its finished parts are kept"):
        output(store, Stopping(after)).parts(specs(1, 2, 3, 4), make)
    assert make.made == list(range(1, after))
    output(store).parts(specs(1, 2, 3, 4), make)
    assert make.made == [1, 2, 3, 4]


def test_part_records_are_plain_json(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    (part,) = output(store).parts(specs(1), Maker())
    (record,) = store.list("parts/score")
    said: dict[str, Sequence[Any]] = json.loads(store.read(record.key))
    assert said["key"] == "part-1"
    assert said["funnel"] == {"rows_in": 2, "rows_out": 1, "reasons": {"too_small": 1}}
    assert list(said["files"]) == part.names()


def test_a_note_that_changes_is_asked_for_while_parts_are_made(store: Store) -> None:
    heard = Stopping(after=10**9)
    asked = iter(range(10**9))

    def make(folder: Path, payload: None) -> PartResult:
        time.sleep(1.2)  # longer than two pulses
        return PartResult()

    spec = PartSpec("slow", ["slow"], None)
    out = Output(store, "score", 1, {}, "ab" * 32, heard)
    out.parts([spec], make, Threads(1), note=lambda: f"note {next(asked)}")
    notes = [note for _, _, note in heard.heard]
    assert len(notes) >= 4
    assert notes == [f"note {number}" for number in range(len(notes))]


def test_the_stores_status_says_what_whoever_runs_the_stage_hears(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Clock):
        """Ten seconds pass at every look."""

        now = 0.0

        def watch(self) -> float:
            self.now += 10.0
            return self.now

    def at_once(work: Callable[[], None]) -> Callable[[float], None]:
        work()
        return lambda seconds: None

    monkeypatch.setattr("stages.artifacts.status_writer.in_background", at_once)
    output(store).parts(specs(1), Maker())
    heard = Stopping(after=10**9)
    out = Output(store, "score", 1, {}, "ab" * 32, heard, "birds", Slow())
    out.parts(specs(1, 2, 3), Maker(), note="at https://me:SECRET@host/x?sig=SECRET\x1b[31m")
    out.waiting(Wait("h.org", "noon"))
    (status,) = running(store)
    assert [(status.done, status.total, status.note)] == heard.heard[-1:]
    assert (status.run, status.unit, status.note) == ("birds", "parts", r"at https://…@host/x?…")
    assert (status.parts_made, status.parts_found, status.parts_total) == (2, 1, 3)
    assert status.funnel == Funnel(6, 3, {"too_small": 3})
    assert status.per_second
    assert status.wait == Wait("h.org", "noon")
    out.close()
    assert list(store.list("status")) == []


def test_what_came_too_soon_is_told_when_the_stage_asks_whether_to_stop(store: Store) -> None:
    class Set(Clock):
        now = 0.0

        def watch(self) -> float:
            return self.now

    clock = Set()
    out = Output(store, "score", 1, {}, "ab" * 32, Silent(), "", clock)
    while not list(store.list("status")):  # the first, by another thread
        time.sleep(0.01)
    out.progress(1, 2)
    clock.now += 10.0
    while not (status := running(store)) or status[0].done != 1:
        out.check()
        time.sleep(0.01)
    out.close()


def test_a_warning_is_heard_and_kept(store: Store) -> None:
    class Hearing(Silent):
        said: ClassVar[list[tuple[str, str]]] = []

        def warn(self, stage: str, words: str) -> None:
            self.said.append((stage, words))

    out = output(store, Hearing())
    out.warn("one host dominates")
    out.warn("not \x1b[31m, said https://me:SECRET@host/x?sig=SECRET\n")
    assert Hearing.said == [("score", words) for words in out.warnings]
    assert out.warnings == ["one host dominates", r"not \x1b[31m, said https://…@host/x?…\n"]
