"""A collection: its hosts and how they answered, what waits to be tried again, what contradicts what.

All of it is asked of the tables that collect leaves beside its pictures (`evidence/`); a collection of an
earlier version, or of folders alone, has fewer of them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from stages.artifacts.artifact import Artifact
from stages.takedown.matches import host_of

HOSTS = "evidence/hosts"
FETCHES = "evidence/fetches"
CONFLICTS = "evidence/conflicts"
COVERAGE = "evidence/coverage.json"
DIFF = "evidence/diff.json"
SITES = "evidence/sites.json"
SOURCES = "evidence/sources.json"
PAGE = 25
"""Hosts, pictures with contradictions, or files of a page."""
STATEMENTS = 200
"""Contradictions of a page."""
REASONS = 5
"""Reasons of a host that are told one by one."""


@dataclass(frozen=True)
class Host:
    """What the requests to one host came to."""

    name: str
    requests: int
    pictures: int
    bytes: int
    seconds: float | None
    """Of all its requests together, which may have run side by side."""
    reasons: Sequence[tuple[str, int]]
    """Why it gave no picture, most rows first."""

    @property
    def tried(self) -> int:
        """Addresses: those that gave a picture, and the others."""
        return self.pictures + sum(rows for _, rows in self.reasons)

    @property
    def cursor(self) -> str:
        """Where the hosts after it begin."""
        return f"{self.requests}:{self.name}"


@dataclass(frozen=True)
class HostsPage:
    """Some hosts, most requests first."""

    hosts: Sequence[Host]
    total: int
    """That the search matches."""
    after: str
    """Cursor of the next page; empty where this is the last one."""


@dataclass(frozen=True)
class Waiting:
    """Requests that the next edition makes again, of one reason."""

    reason: str
    requests: int
    earliest: str
    latest: str


@dataclass(frozen=True)
class OptOut:
    """Pictures that their owners keep from being learned from, by what says so."""

    signal: str
    where: str
    requests: int


@dataclass(frozen=True)
class Conflict:
    """One statement that something contradicts; see `stages.collect.report.conflicts`."""

    uid: str
    kind: str
    subject: str
    stated: str
    contradicted_by: str


def hosts(images: Artifact, *, search: str = "", after: str = "") -> HostsPage:
    """A page of hosts.

    Args:
        images: a collection with the table of hosts.
        search: part of a host's name, in whatever case.
        after: cursor of the page; empty: the first. ValueError: it is none.
    """
    requests, name = _cursor(after)
    with duckdb.connect() as db:
        images.scan(db, HOSTS, "hosts")
        matching = "contains(lower(host), ?)"
        (total,) = db.execute(f"SELECT count(*) FROM hosts WHERE {matching}", [search.lower()]).fetchall()[0]
        rows = db.execute(
            f"""
            SELECT host, coalesce(requests, 0) AS n, pictures, coalesce(bytes, 0), seconds,
                map_keys(reasons), map_values(reasons)
            FROM hosts WHERE {matching} AND (? IS NULL OR n < ? OR (n = ? AND host > ?))
            ORDER BY n DESC, host LIMIT {PAGE + 1}
            """,
            [search.lower(), requests, requests, requests, name],
        ).fetchall()
    ranked = [
        Host(name, n, pictures, size, seconds, _ranked(dict(zip(reasons or (), counts or (), strict=True))))
        for name, n, pictures, size, seconds, reasons, counts in rows[:PAGE]
    ]
    return HostsPage(ranked, total, ranked[-1].cursor if len(rows) > PAGE else "")


def waiting(images: Artifact) -> list[Waiting]:
    """What is tried again, most requests first; nothing where no fetch was recorded."""
    query = """
        SELECT reason, count(*), min(retry_at), max(retry_at) FROM fetches
        WHERE retry_at <> '' GROUP BY reason ORDER BY 2 DESC, 1 LIMIT 50
    """
    return [Waiting(*row) for row in _rows(images, FETCHES, "fetches", query)]


def opt_outs(images: Artifact) -> list[OptOut]:
    """What said no, most requests first; headers of pictures together, whichever pictures they were."""
    query = r"""
        SELECT signal, regexp_replace(signal_where, ' of https?://\S+$', ' of the picture itself'), count(*)
        FROM fetches WHERE signal <> '' GROUP BY ALL ORDER BY 3 DESC, 1, 2 LIMIT 50
    """
    return [OptOut(*row) for row in _rows(images, FETCHES, "fetches", query)]


def conflict_counts(images: Artifact) -> list[tuple[str, int, int]]:
    """(kind, statements, pictures) of what is contradicted."""
    query = "SELECT kind, count(*), count(DISTINCT uid) FROM conflicts GROUP BY kind ORDER BY 2 DESC, 1"
    return _rows(images, CONFLICTS, "conflicts", query)


def conflicts(images: Artifact, kind: str = "", after: str = "") -> tuple[list[Conflict], str]:
    """A page of what is contradicted, and the uid after which the next one begins, "" after the last.

    Of one picture all statements stand on one page, but for those beyond the first `STATEMENTS`.

    Args:
        images: a collection.
        kind: of the statement; empty: all.
        after: a uid; empty: from the first.
    """
    query = f"""
        WITH pictures AS (
            SELECT DISTINCT uid FROM conflicts WHERE uid > ? AND (? = '' OR kind = ?)
            ORDER BY uid LIMIT {PAGE}
        )
        SELECT uid, kind, subject, stated, contradicted_by FROM conflicts JOIN pictures USING (uid)
        WHERE ? = '' OR kind = ? ORDER BY uid, kind, subject, stated LIMIT {STATEMENTS}
    """
    statements = [
        Conflict(*row) for row in _rows(images, CONFLICTS, "conflicts", query, [after, *[kind] * 4])
    ]
    pictures = list(dict.fromkeys(conflict.uid for conflict in statements))
    return statements, pictures[-1] if len(pictures) == PAGE else ""


def host_rows(
    images: Artifact, host: str, reason: str = "", after: str = "", limit: int = 60
) -> list[tuple[str, str, str]]:
    """(uid, location, detail) of rows of one host, in the order of uids.

    Args:
        images: a collection.
        host: its name as the table of hosts has it.
        reason: of rows that were left out; empty: pictures that are held.
        after: a uid; empty: from the first.
        limit: how many at most.
    """
    table, detail = ("rejects", "detail") if reason else ("images", "''")
    # The beginning alone is found fast; what follows it must be the end of the host's name.
    condition = (
        "(starts_with(location, 'https://' || ?) OR starts_with(location, 'http://' || ?)) "
        f"AND {host_of()} = ? AND uid > ?" + (" AND reason = ?" if reason else "")
    )
    query = f"SELECT uid, location, {detail} FROM rows_of WHERE {condition} ORDER BY uid LIMIT {limit}"
    return _rows(images, table, "rows_of", query, [host, host, host, after, *([reason] if reason else [])])


def document(images: Artifact, name: str) -> Any:
    """A JSON file of the evidence; None where there is none. DamagedError: it is not what was published."""
    return json.loads(images.read(name)) if name in images.files else None


def source_files(sources: Mapping[str, Any] | None) -> list[tuple[str, str, str, int]]:
    """(source, file, SHA-256 or whatever names its content, bytes) of what rows were read from; the first of
    many. Bytes are -1 where nobody says them."""
    listed: list[tuple[str, str, str, int]] = []
    for source, files in (sources or {}).items():
        for name, facts in list(files.items())[:PAGE] if isinstance(files, dict) else ():  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
            known: dict[str, Any] = facts if isinstance(facts, dict) else {}  # pyright: ignore[reportUnknownVariableType]
            content = str(known.get("sha256") or known.get("etag") or "")
            listed.append((source, str(name), content, int(known.get("size") or -1)))  # pyright: ignore[reportUnknownArgumentType]
    return listed[:PAGE]


def _rows(images: Artifact, table: str, view: str, query: str, values: Sequence[object] = ()) -> list[Any]:
    """The rows of a small answer; none where the collection has no such table."""
    if not images.has_table(table):
        return []
    with duckdb.connect() as db:
        images.scan(db, table, view)
        return db.execute(query, list(values)).fetchall()


def _ranked(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def _cursor(after: str) -> tuple[int | None, str]:
    requests, colon, name = after.partition(":")
    if after and not (colon and requests.isdigit()):
        raise ValueError(f"{after[:80]!r} is no place in the list of hosts; begin at its first page")
    return (int(requests), name) if after else (None, "")
