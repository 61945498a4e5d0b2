"""What a stage writes to: parts that survive a crash, result files, progress, the wish that it stop."""

import shutil
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from stages.artifacts.artifact import Funnel
from stages.artifacts.files import FileEntry, Files
from stages.artifacts.lease import CLOCK, Clock
from stages.artifacts.part import PartRecord, part_key, read_part
from stages.artifacts.status import TrainingStatus
from stages.artifacts.status_writer import StatusWriter
from stages.engine import Engine, Inline
from stages.errors import DamagedError, Stopped, naming_disk_faults
from stages.fingerprint import JSON, canonical_config, fingerprint_of, sha256_of
from stages.foreign_text import escape
from stages.redaction import redact
from stages.reporter import Reporter, Silent, Wait
from stages.store import Store

__all__ = ["Output", "Part", "PartResult", "PartSpec", "Reporter", "Silent"]

P = TypeVar("P")


@dataclass(frozen=True)
class PartResult:
    """What the maker of a part says of it; the files are in its folder."""

    funnel: Funnel | None = None
    statistics: Mapping[str, JSON] = field(default_factory=dict[str, JSON])


@dataclass(frozen=True)
class PartSpec:
    """One part to make.

    `inputs` names everything that its result depends on besides stage, version and config: equal inputs are
    one part. `payload` is what the maker gets, plain data; `key` names the part for people.
    """

    key: str
    inputs: Sequence[str]
    payload: Any


class Part(Files):
    """A finished part: files in the store under the names they will have in the artifact."""

    def __init__(
        self,
        store: Store,
        key: str,
        fingerprint: str,
        files: Mapping[str, FileEntry],
        made: PartResult,
        *,
        cached: bool,
    ) -> None:
        super().__init__(store, files)
        self.key = key
        self.fingerprint = fingerprint
        self.funnel = made.funnel
        self.statistics = made.statistics
        self.cached = cached


class Output:
    """A stage's only way to the store and to whoever runs it."""

    def __init__(
        self,
        store: Store,
        stage: str,
        version: int,
        config: Mapping[str, JSON],
        fingerprint: str,
        reporter: Reporter,
        run: str = "",
        clock: Clock = CLOCK,
    ) -> None:
        self.store = store
        self.stage = stage
        self.fingerprint = fingerprint
        self.files: dict[str, FileEntry] = {}
        self.parts_made = 0
        self.parts_found = 0
        self.callbacks: list[Callable[[], None]] = []
        self.warnings: list[str] = []
        self._version = version
        self._config = config
        self._reporter = reporter
        self._attempt = f"{fingerprint[:16]}/{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        self.folder = store.scratch() / self._attempt.replace("/", "-")
        self.folder.mkdir(parents=True)
        (self.folder / "result").mkdir()
        self._status = StatusWriter(store, stage, fingerprint, run, clock)

    # parts

    def parts(
        self,
        specs: Iterable[PartSpec],
        make: Callable[[Path, P], PartResult],
        engine: Engine | None = None,
        *,
        config: Any = None,
        note: str | Callable[[], str] = "",
    ) -> list[Part]:
        """The parts of a stage: found where finished, else made by an engine and recorded one by one.

        Args:
            specs: what is to be made.
            make: ``make(folder, payload)`` writes files below `folder`, under the names that they will have
                in the artifact, and returns what it has to say. A module-level function if the engine uses
                processes.
            engine: maps the parts; in this process where None.
            config: the dataclass or JSON of the config that the parts depend on, so that other changes leave
                them be; the stage's whole config where None.
            note: shown beside the progress; where it changes, a function that says it, asked now and then.

        Returns:
            The parts in the order of `specs`. None of them is a file of the artifact until `add`.

        Raises:
            Stopped: between two parts, when asked to stop; finished parts are kept.
        """
        ordered = list(specs)
        prints = [self._part_fingerprint(spec.inputs, config) for spec in ordered]
        with ThreadPoolExecutor(16) as threads:  # a remote store takes its time for each look
            looks = threads.map(self._find, [spec.key for spec in ordered], prints)
            done = {position: part for position, part in enumerate(looks) if part is not None}
        missing = [position for position in range(len(ordered)) if position not in done]
        self.parts_found += len(done)
        self._status.begin_parts(len(ordered), (part.funnel for part in done.values()))
        says = note if callable(note) else lambda: note
        self.progress(len(done), len(ordered), says(), unit="parts")

        def pulse() -> None:
            self.check()
            if callable(note):
                self.progress(len(done), len(ordered), note(), unit="parts")

        payloads = (
            (position, ordered[position].key, str(self._part_folder()), ordered[position].payload)
            for position in missing
        )
        with closing((engine or Inline()).map(partial(_make, make), payloads, pulse)) as results:
            while len(done) < len(ordered):
                self.check()
                position, folder, made, hashes = next(results)
                key = ordered[position].key
                done[position] = self._record(key, prints[position], Path(folder), made, hashes)
                self.progress(len(done), len(ordered), says(), unit="parts")
        return [done[position] for position in range(len(ordered))]

    def part(
        self, key: str, inputs: Sequence[str], make: Callable[[Path], PartResult], *, config: Any = None
    ) -> Part:
        """One part, made in this process where it is not finished; see `parts`."""
        return self.parts([PartSpec(key, inputs, None)], lambda folder, _: make(folder), config=config)[0]

    def find(self, key: str, inputs: Sequence[str], *, config: Any = None) -> Part | None:
        """A finished part, or None."""
        return self._find(key, self._part_fingerprint(inputs, config))

    def record(
        self, key: str, inputs: Sequence[str], folder: Path, made: PartResult, *, config: Any = None
    ) -> Part:
        """Make the files below a folder a finished part; the folder is used up."""
        fingerprint = self._part_fingerprint(inputs, config)
        return self._record(key, fingerprint, folder, made, _hashes(folder))

    def forget(self, part: Part) -> None:
        """Delete the record of a part that nobody will need again; its files become garbage unless added."""
        self.store.delete([part_key(self.stage, part.fingerprint)])

    # result files

    def add(self, files: Part | Mapping[str, FileEntry]) -> None:
        """Let files that are in the store become files of the artifact, by reference."""
        for name, entry in (files.files if isinstance(files, Part) else files).items():
            first = self.files.setdefault(name, entry)
            assert first.sha256 == entry.sha256, f"two files of the artifact are called {name!r}"

    def write(self, name: str) -> Path:
        """The local path at which the stage writes result file `name` itself; published with the artifact."""
        path = self.folder / "result" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def publish_written(self) -> None:
        """Bring what `write` gave paths for into the store."""
        result = self.folder / "result"
        self.add(self._upload(result, _hashes(result)))

    def on_published(self, act: Callable[[], None]) -> None:
        """Have something done once the artifact is published: dropping parts that nobody needs then."""
        self.callbacks.append(act)

    # to and from whoever runs the stage

    def progress(
        self, done: int, total: int, note: str = "", *, unit: str = "", training: TrainingStatus | None = None
    ) -> None:
        """Say how far the stage is, in units of its own choosing; the store's status follows now and then."""
        note = escape(redact(note))
        self._status.progress(done, total, note, unit, training)
        self._reporter.progress(self.stage, done, total, note)

    def warn(self, words: str) -> None:
        """Tell a person of something odd, in a sentence; it also stands in the manifest."""
        words = escape(redact(words), 2000)
        self.warnings.append(words)
        self._status.warned()
        self._reporter.warn(self.stage, words)

    def waiting(self, wait: Wait) -> None:
        """Say what the stage waits for; to be called now and then while it does."""
        self._status.waiting(wait)
        self._reporter.waiting(self.stage, wait)

    def stopping(self) -> bool:
        """Whether the stage shall end soon."""
        self._status.flush()  # asked often, so that what came too soon after a status is told in time
        return self._reporter.stopping()

    def check(self) -> None:
        """Raise Stopped if the stage shall end."""
        if self.stopping():
            raise Stopped(
                f"{self.stage} was asked to stop; its finished parts are kept, and the same run continues it"
            )

    def close(self) -> None:
        """Drop the working folder, and the status."""
        self._status.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _part_fingerprint(self, inputs: Sequence[str], config: Any) -> str:
        if config is None:
            config = self._config
        elif not isinstance(config, Mapping):
            config = canonical_config(config)
        request = {"stage": self.stage, "version": self._version, "config": config, "inputs": list(inputs)}
        return fingerprint_of(request)  # pyright: ignore[reportUnknownArgumentType] -- JSON by contract

    def _part_folder(self) -> Path:
        folder = self.folder / f"part-{uuid.uuid4().hex[:12]}"
        folder.mkdir()
        return folder

    def _find(self, key: str, fingerprint: str) -> Part | None:
        try:
            record = read_part(self.store, part_key(self.stage, fingerprint))
        except FileNotFoundError:
            return None
        except DamagedError as error:
            self.warn(f"part {key} is made again: {error}")
            return None
        if not all(self.store.exists(entry.key) for entry in record.files.values()):
            return None  # swept away by gc; it will be made again
        result = PartResult(record.funnel, record.statistics)
        return Part(self.store, key, fingerprint, record.files, result, cached=True)

    def _record(
        self,
        key: str,
        fingerprint: str,
        folder: Path,
        made: PartResult,
        hashes: Mapping[str, tuple[int, str]],
    ) -> Part:
        files = self._upload(folder, hashes)
        record = PartRecord(key, files, made.funnel, made.statistics).to_json()
        record_key = part_key(self.stage, fingerprint)
        if not self.store.create(record_key, record):
            first = self._find(key, fingerprint)
            if first is not None:
                return first
            self.store.delete([record_key])  # its files are gone, or it is damaged
            self.store.create(record_key, record)
        shutil.rmtree(folder, ignore_errors=True)
        self.parts_made += 1
        self._status.part_made(made.funnel)
        return Part(self.store, key, fingerprint, files, made, cached=False)

    def _upload(self, folder: Path, hashes: Mapping[str, tuple[int, str]]) -> dict[str, FileEntry]:
        files: dict[str, FileEntry] = {}
        for name, (size, sha256) in sorted(hashes.items()):
            key = f"files/{self.stage}/{self._attempt}/{uuid.uuid4().hex[:8]}/{name}"
            self.store.put(key, folder / name)
            files[name] = FileEntry(key, size, sha256)
        return files


def _make(
    make: Callable[[Path, Any], PartResult], payload: tuple[int, str, str, Any]
) -> tuple[int, str, PartResult, dict[str, tuple[int, str]]]:
    """In the worker: make the part, and hash its files while they are warm."""
    position, key, folder, own = payload
    with naming_disk_faults(f"part {key} in {folder}"):
        result = make(Path(folder), own)
        return position, folder, result, _hashes(Path(folder))


def _hashes(folder: Path) -> dict[str, tuple[int, str]]:
    """File name below the folder -> size in bytes and SHA-256."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert not any(path.is_symlink() for path in paths), f"a link in {folder}: the store keeps files"
    return {path.relative_to(folder).as_posix(): (path.stat().st_size, sha256_of(path)) for path in paths}
