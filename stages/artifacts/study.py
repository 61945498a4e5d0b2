"""Studies: what a controlled comparison of trainings came to, as the pages show it.

A study's record is create-only and numbered, `studies/text-encoders/00000001.json`: tables with intervals,
what is decided, and each case with its model. It names artifacts and keeps none: garbage collection and
retention go by references, and a case whose model was dropped stays in the record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from stages.artifacts.names import check_name
from stages.artifacts.seal import sealed, unsealed
from stages.store import NumberedLog, Store

FOLDER = "studies"
"""Records lie below it, by the name of the study."""


@dataclass(frozen=True)
class StudyCell:
    """A mean over seeds."""

    mean: float
    low: float | None
    """Of its interval; None where there is one seed alone, or nothing is compared."""
    high: float | None


@dataclass(frozen=True)
class StudyColumn:
    """A measure, perhaps of one arm."""

    title: str
    digits: int
    """Decimal places that people see."""
    better: str
    """"higher" or "lower"; empty where nothing is compared."""
    reference: float | None = None
    """Value that is known without a training; None where none is."""


@dataclass(frozen=True)
class StudyRow:
    """An arm or a variant, in every column; None where it has not finished, or was dropped."""

    title: str
    cells: Sequence[StudyCell | None]


@dataclass(frozen=True)
class StudyTable:
    """A table of means."""

    title: str
    columns: Sequence[StudyColumn]
    rows: Sequence[StudyRow]
    """The best first."""


@dataclass(frozen=True)
class StudyDecision:
    """Who is best, by one measure."""

    question: str
    best: str
    undecided: Sequence[str]
    """Those of which it is not decided that they are worse."""


@dataclass(frozen=True)
class StudyCase:
    """A training of the study."""

    variant: str
    arm: str
    seed: int
    share: float
    """Of its budget, (0, 1]."""
    images: int
    """Seen."""
    model: str
    """Fingerprint."""
    evaluation: str
    """Fingerprint; empty where no measure needed one."""
    figures: Mapping[str, float]
    """Path -> value."""


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """One record."""

    name: str
    title: str
    about: str
    """Its authors' words, Markdown."""
    method: str
    """How figures were taken and compared, in words."""
    tables: Sequence[StudyTable]
    decisions: Sequence[StudyDecision]
    dropped: str
    """What did not get its whole budget, in words; empty where all did."""
    cases: Sequence[StudyCase]
    time: str = ""
    """When it was recorded: ISO 8601, UTC."""

    @classmethod
    def parse(cls, data: bytes, name: str = "a study") -> "StudyRecord":
        """A record as it was written. DamagedError: it is another; `name` is what the message calls it."""
        raw = unsealed(data, name)
        raw["tables"] = tuple(map(_table, raw["tables"]))
        raw["decisions"] = tuple(
            StudyDecision(each["question"], each["best"], tuple(each["undecided"]))
            for each in raw["decisions"]
        )
        raw["cases"] = tuple(StudyCase(**case) for case in raw["cases"])
        return cls(**raw)

    def to_json(self) -> bytes:
        return sealed(asdict(self))


def add_study(store: Store, record: StudyRecord) -> int:
    """Add a record to a study's history, unless its last one says the same; its number.

    Args:
        store: where the study's models are.
        record: of it; its time is set here.

    ValueError: the study's name is no good for a folder. DamagedError: its last record cannot be read.
    """
    check_name(record.name)
    log = studies_log(store, record.name)
    timed = replace(record, time=datetime.now(UTC).isoformat(timespec="seconds"))
    while True:
        last = log.last()
        if last and replace(log.record(last), time=timed.time).to_json() == timed.to_json():
            return last
        if log.append(last + 1, timed.to_json()):
            return last + 1


def studies_log(store: Store, name: str) -> NumberedLog[StudyRecord]:
    """The history of a study."""
    remedy = ", or delete it: `sdflow study RESULTS.json --store STORE` writes it again"
    return NumberedLog(store, f"{FOLDER}/{name}", "study", StudyRecord.parse, remedy)


def study_numbers(store: Store) -> Mapping[str, Sequence[int]]:
    """Every study of a store, by name, with the numbers of its records, ascending."""
    numbers: dict[str, list[int]] = {}
    for listed in store.list(FOLDER):
        name, _, file = listed.key.removeprefix(f"{FOLDER}/").rpartition("/")
        stem = file.removesuffix(".json")
        if name and stem.isdigit():
            numbers.setdefault(name, []).append(int(stem))
    return {name: sorted(own) for name, own in sorted(numbers.items())}


def _table(raw: Mapping[str, Any]) -> StudyTable:
    columns = tuple(StudyColumn(**column) for column in raw["columns"])
    rows = tuple(
        StudyRow(row["title"], tuple(StudyCell(**cell) if cell else None for cell in row["cells"]))
        for row in raw["rows"]
    )
    return StudyTable(raw["title"], columns, rows)
