"""Take-downs: pictures that must not be used, for good, under any of their names.

A take-down is a create-only numbered record, `takedowns/00000001.json`: what was given, why, when, and every
name that the picture goes by in the store. All records together are an input of collect and filter, so that
later versions leave the picture out at every stage.

What belongs to a take-down is decided in one step each way. The *pictures* (SHA-256 of their bytes) are all
that any collection of the store ever held under a given name; the *names* are all under which any collection
ever held one of these pictures. What else those names brought at other times is not touched, or a stock
picture that two sites once had would draw everything of both with it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa

from stages.artifacts.artifact import Snapshot, artifacts
from stages.artifacts.seal import sealed, unsealed
from stages.fingerprint import fingerprint_of
from stages.parquet_view import parquet
from stages.store import NumberedLog, Store
from stages.takedown.matches import host_of, matches

KINDS = {"url": "urls", "uid": "uids", "sha256": "sha256s", "host": "hosts"}
"""What a name can be, and the field of a record that lists those of its kind."""

FORMS = {
    "url": (re.compile(r"https?://[^\s/]+.*"), "an address that begins with http:// or https://"),
    "uid": (re.compile(r"[0-9a-f]{32}"), "32 hex digits in lower case"),
    "sha256": (re.compile(r"[0-9a-f]{64}"), "64 hex digits in lower case"),
    "host": (
        re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*"),
        "a host's name in lower case, without scheme and port",
    ),
}

TABLE = pa.schema([("kind", pa.string()), ("value", pa.string()), ("number", pa.int64())])
"""A row for each forbidden name: "url", "uid", "sha256" or "host"; and the first take-down that names it."""


@dataclass(frozen=True, order=True)
class Name:
    """One name of what shall be forgotten: its kind, a key of `KINDS`, and its value.

    A URL is in the normal form in which collections keep it (`stages.collect.web.url.normalise`).
    A host stands for its subdomains too.
    """

    kind: str
    value: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of name; use one of {', '.join(KINDS)}")
        pattern, words = FORMS[self.kind]
        if pattern.fullmatch(self.value) is None:
            raise ValueError(f"{self.value!r} is no {self.kind}: that is {words}")


@dataclass(frozen=True)
class Takedown:
    """One record. `number` is 0 as long as it is not recorded; lists are sorted."""

    number: int
    time: str
    why: str
    given: tuple[Name, ...]
    urls: tuple[str, ...]
    uids: tuple[str, ...]
    sha256s: tuple[str, ...]
    hosts: tuple[str, ...]

    def names(self) -> set[Name]:
        """Everything that it forbids."""
        return {Name(kind, value) for kind, field in KINDS.items() for value in getattr(self, field)}

    @classmethod
    def parse(cls, data: bytes, name: str = "a take-down") -> "Takedown":
        """A record as it was written. DamagedError: it is another; `name` is what the message calls it."""
        raw = unsealed(data, name)
        for field in KINDS.values():
            raw[field] = tuple(raw[field])
        raw["given"] = tuple(Name(**name) for name in raw["given"])
        return cls(**raw)


def records(store: Store) -> list[Takedown]:
    """Every take-down, in the order of their numbers; DamagedError if one cannot be read."""
    return _log(store).records()


def _log(store: Store) -> NumberedLog[Takedown]:
    remedy = "; without it nobody knows which pictures must not be used"
    return NumberedLog(store, "takedowns", "take-down", Takedown.parse, remedy)


def takedowns(store: Store) -> Snapshot | None:
    """All take-downs as an input of collect and filter; None where there is no record.

    Contents: "urls", "uids", "sha256s", "hosts", each value -> number of the first take-down that names it. A
    record that names nothing new changes nothing.
    """
    contents: dict[str, dict[str, int]] = {field: {} for field in KINDS.values()}
    for record in records(store):
        for field, numbers in contents.items():
            for value in getattr(record, field):
                numbers.setdefault(value, record.number)
    if not any(contents.values()):
        return None
    return Snapshot(fingerprint_of(contents), contents)


def tables(takedowns: Snapshot | None) -> Any:
    """What `takedowns` gives as one Arrow table for joins, `TABLE`; without rows for None."""
    contents: Any = takedowns.contents if takedowns is not None else {}
    rows = [
        {"kind": kind, "value": value, "number": number}
        for kind, field in KINDS.items()
        for value, number in sorted(contents.get(field, {}).items())
    ]
    return pa.Table.from_pylist(rows, TABLE)


def forget(store: Store, given: Sequence[Name], why: str) -> Takedown:
    """Record that something must not be used any more.

    Args:
        store: its collections say by what other names the pictures go.
        given: at least one name.
        why: the reason, for those who read the record later.

    Returns:
        The new record; where one exists already that names all of it, that one.

    Raises:
        ValueError: nothing is given, or no reason.
    """
    draft = drafted(store, given, why)
    names = draft.names()
    log = _log(store)
    while True:
        number = log.last() + 1  # before the look: a record that comes meanwhile takes this number
        for record in records(store):
            if names <= record.names():
                return record
        numbered = replace(draft, number=number)
        if log.append(number, sealed(asdict(numbered))):
            return numbered


def drafted(store: Store, given: Sequence[Name], why: str) -> Takedown:
    """What `forget` would record."""
    if not given:
        raise ValueError("nothing to forget is named; give a URL, a uid, a SHA-256 or a host")
    if not why.strip():
        raise ValueError("a take-down needs a reason: who asked for it, and on what ground")
    names = _closure(store, given)
    listed = {field: tuple(sorted(names[kind])) for kind, field in KINDS.items()}
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return Takedown(0, time, why.strip(), tuple(sorted(set(given))), **listed)


def _closure(store: Store, given: Iterable[Name]) -> Mapping[str, set[str]]:
    """Kind -> values: the given names, all pictures ever held under them, all names of these pictures."""
    names: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for name in given:
        names[name.kind].add(name.value)
    paths = [
        path
        for images in artifacts(store)
        if images.kind == "images"
        for path in images.table_files("images")
    ]
    if not paths:
        return names
    with (
        TemporaryDirectory(prefix="sdflow-") as folder,
        duckdb.connect(config={"temp_directory": folder}) as db,
    ):
        _read(db, paths)
        columns = list(zip(*[(name.kind, name.value) for name in given], strict=True))
        db.register("given", pa.table({"kind": columns[0], "value": columns[1]}))
        db.execute(
            f"""
            CREATE TABLE pictures AS
            SELECT value AS sha256 FROM given WHERE kind = 'sha256'
            UNION SELECT sha256 FROM ({matches("r.sha256", "collected", "given", ("uid", "url", "host"))})
            UNION SELECT sha256 FROM (
                SELECT sha256, unnest(json_extract_string(columns, '$.*')) AS text
                FROM collected WHERE contains(columns, '://')
            ) JOIN given ON kind = 'url' AND value = text
            """
        )
        for (sha256,) in db.execute("SELECT sha256 FROM pictures").fetchall():
            names["sha256"].add(sha256)
        for uid, location in db.execute(
            "SELECT DISTINCT uid, location FROM collected JOIN pictures USING (sha256)"
        ).fetchall():
            names["uid"].add(uid)
            if FORMS["url"][0].fullmatch(location):
                names["url"].add(location)
    return names


def _read(db: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> None:
    """A view `collected` over the tables of all collections, of this version and of those before it."""
    tables = parquet(*paths, union_by_name=True)
    db.execute(
        f"CREATE VIEW collected AS SELECT uid, sha256, location, columns, {host_of()} AS host FROM {tables}"
    )
