"""What changes in a collection's tables: what is fetched, what came of it, what the edition before has."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifacts.artifact import Artifact
from stages.collect.database import OUTCOME_ROWS, PASSING, CollectionDatabase
from stages.collect.outcomes import FETCHES, FETCHES_TABLE
from stages.collect.row_groups import RowGroup, write_row_groups
from stages.parquet_view import create_view, parquet
from stages.reasons import Reason

RETRY_DAYS = (1, 30)
"""A URL that failed in two editions in a row is requested again after this many days, doubled for each
further failure, to the most. After the first failure it is due at once, or when its host said."""
_REQUESTS = ("key", "url", "policy", "etag", "last_modified")
_COPIES = ("key", "path", "offset", "length", "stamp")
_COLUMNS = ", ".join(f'"{name}"' for name in OUTCOME_ROWS.names)
_OUR_OWN_TIMES = f"'{Reason.HOST_SET_ASIDE}', '{Reason.ROBOTS_UNREACHABLE}'"
"""Reasons that come with a time of our own at which to ask again."""
_MAY_PASS = f"reason IN ({PASSING})"

_PLACEHOLDERS = f"""
CREATE TABLE placeholders AS
WITH known AS (
    SELECT DISTINCT left(detail, 64) AS sha256, regexp_extract(detail, ' URLs of (.*)$', 1) AS host
    FROM outcomes WHERE reason = '{Reason.PLACEHOLDER}'
), shared AS (
    SELECT sha256, host, count(DISTINCT location) AS urls
    FROM heads JOIN outcomes o USING (key) WHERE o.reason = '' AND host <> '' GROUP BY sha256, host
)
SELECT sha256, host, urls FROM shared
WHERE urls >= ? OR (sha256, host) IN (SELECT (sha256, host) FROM known)
"""

_REPACKED = """
o.key IN (SELECT key FROM later WHERE reason = '') AND o.reason = '' AND o.file IN (SELECT file FROM later)
"""
"""Pictures that a later round brought, and that lie where it put them."""

Picture = tuple[str, str, str, int, int]
"""sha256, format, file, offset, length."""


class CollectionState(CollectionDatabase):
    """A collection under way: one writer, which the rounds, the edition before and the packing go through."""

    # what is to be fetched and copied

    def to_fetch(self, file: str, rows: int) -> list[RowGroup]:
        """Requests for URLs without an outcome, and for pictures to be revalidated; groups of so many."""
        self._db.execute(
            """
            CREATE OR REPLACE TEMP TABLE requests AS
            SELECT key, any_value(location) AS url, any_value(policy) AS policy,
                '' AS etag, '' AS last_modified
            FROM heads JOIN policies USING (source)
            WHERE reason = '' AND path = '' AND key NOT IN (SELECT key FROM outcomes) GROUP BY key
            UNION ALL
            SELECT key, any_value(location), any_value(policy), any_value(etag), any_value(last_modified)
            FROM heads JOIN policies USING (source) JOIN revalidated USING (key) WHERE reason = ''
            GROUP BY key
            """
        )
        return self._groups("SELECT * FROM requests ORDER BY key", file, rows, _REQUESTS)

    def to_fetch_again(self, keys: Path, file: str, rows: int) -> list[RowGroup]:
        """The requests of a table of keys once more."""
        query = f"SELECT r.* FROM requests r JOIN {parquet(keys)} USING (key) ORDER BY key"
        return self._groups(query, file, rows, _REQUESTS)

    def to_copy(self, source: str, file: str, rows: int) -> list[RowGroup]:
        """Rows of a source on this machine without an outcome."""
        query = """
            SELECT key, path, "offset", length, stamp FROM heads
            WHERE source = $source AND reason = '' AND path <> '' AND key NOT IN (SELECT key FROM outcomes)
            ORDER BY path, "offset", key
        """
        return self._groups(query, file, rows, _COPIES, source=source)

    def _groups(
        self, query: str, file: str, rows: int, columns: Sequence[str], **parameters: str
    ) -> list[RowGroup]:
        reader = self._db.sql(query, params=parameters or None).to_arrow_reader(rows)
        return write_row_groups(reader, self._scratch / file, rows, columns)

    # what became of it

    def record(self, outcomes: Sequence[Path], fetches: Sequence[Path] = (), requests: int = 0) -> None:
        """Take in the tables of parts.

        What may pass stays pending, until `give_up`. A picture that is here and was revalidated stays as it
        is unless a final answer came.

        Args:
            outcomes: tables of parts.
            fetches: their tables of fetches.
            requests: what was requested more often than this is settled, whatever came of it.
        """
        if not outcomes:
            return
        create_view(self._db, "of_parts", *outcomes)
        if fetches:
            self._record_fetches(fetches)
        self._db.execute("DELETE FROM pending WHERE key IN (SELECT key FROM of_parts)")
        self._db.execute("CREATE OR REPLACE TEMP TABLE new AS SELECT * FROM of_parts WHERE NOT not_modified")
        self._db.execute(
            f"""
            INSERT INTO pending SELECT {_COLUMNS} FROM new
            WHERE {_MAY_PASS} AND key NOT IN (SELECT key FROM outcomes)
            AND key NOT IN (SELECT key FROM fetches WHERE requests > {requests})
            """
        )
        self._db.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE settled AS SELECT {_COLUMNS} FROM new
            WHERE (NOT {_MAY_PASS} OR key NOT IN (SELECT key FROM outcomes))
            AND key NOT IN (SELECT key FROM pending)
            """
        )
        self._db.execute("DELETE FROM outcomes WHERE key IN (SELECT key FROM settled)")
        self._db.execute("INSERT INTO outcomes SELECT * FROM settled")

    def _record_fetches(self, fetches: Sequence[Path]) -> None:
        create_view(self._db, "fetches_of_parts", *fetches)
        self._db.execute(
            """
            CREATE OR REPLACE TEMP TABLE newest AS
            SELECT n.* REPLACE (
                n.requests + CASE WHEN n.key IN (SELECT key FROM fetched) THEN f.requests ELSE 0 END
                    AS requests,
                CASE WHEN n.requested_at = '' THEN coalesce(f.requested_at, '') ELSE n.requested_at END
                    AS requested_at,
                CASE WHEN n.status = 304 AND n.etag = '' THEN coalesce(f.etag, '') ELSE n.etag END AS etag,
                CASE WHEN n.status = 304 AND n.last_modified = '' THEN coalesce(f.last_modified, '')
                    ELSE n.last_modified END AS last_modified,
                coalesce(f.failures, 0) AS failures
            ) FROM fetches_of_parts n LEFT JOIN fetches f USING (key)
            """
        )
        self._db.execute("DELETE FROM fetches WHERE key IN (SELECT key FROM newest)")
        self._db.execute("INSERT INTO fetches SELECT * FROM newest")
        self._db.execute(
            "INSERT INTO fetched SELECT key FROM newest WHERE key NOT IN (SELECT key FROM fetched)"
        )

    def pending(self) -> tuple[int, str]:
        """How many requests may be made again, and the earliest time at which one of them is due."""
        query = "SELECT count(*), coalesce(min(retry_at), '') FROM pending JOIN fetches USING (key)"
        count, due = self.rows(query)[0]
        return int(count), str(due)

    def pending_hosts(self) -> list[tuple[str, str, bool]]:
        """Of each host whose requests may be made again: its name, the reason of most of them, whether it
        said itself when (Retry-After). Those of which one is due first, then those with most."""
        return self.rows(
            f"""
            SELECT host, mode(pending.reason),
                bool_or(retry_at <> '' AND pending.reason NOT IN ({_OUR_OWN_TIMES}))
            FROM pending JOIN fetches USING (key) JOIN (SELECT DISTINCT key, host FROM heads) USING (key)
            GROUP BY host ORDER BY min(retry_at), count(*) DESC, host
            """
        )

    def write_due(self, now: str, path: Path) -> int:
        """Write the keys of the pending requests that may be made at a time; how many."""
        query = "SELECT key FROM pending JOIN fetches USING (key) WHERE retry_at <= ? ORDER BY key"
        keys = self._db.sql(query, params=[now]).to_arrow_table()
        pq.write_table(keys, path)
        return len(keys)

    def give_up(self) -> None:
        """What is still pending stays a failure of this edition."""
        self._db.execute("INSERT INTO outcomes SELECT * FROM pending")
        self._db.execute("DELETE FROM pending")

    # what the edition before has

    def read_previous(self, previous: Artifact) -> None:
        """Read an earlier edition: its fetches, and in `carried` its pictures of today's rows."""
        previous.scan(self._db, "images", "previous_images")
        previous.scan(self._db, "rejects", "previous_rejects")
        if previous.has_table(FETCHES_TABLE):
            previous.scan(self._db, FETCHES_TABLE, "previous_fetches")
        else:
            self._db.register("previous_fetches", FETCHES.empty_table())
        self._db.execute(
            "INSERT INTO fetches SELECT * FROM previous_fetches WHERE key IN (SELECT key FROM heads)"
        )
        self._db.execute(
            """
            CREATE TABLE carried AS
            SELECT h.key, p.sha256, p.format, p.width, p.height, p.frames, p.repairs,
                p.file, p."offset", p.length
            FROM previous_images p JOIN heads h USING (uid) WHERE h.reason = '' AND NOT h.changed
            QUALIFY row_number() OVER (PARTITION BY h.key ORDER BY h.uid) = 1
            """
        )

    def reject_carried(self, rejected: Sequence[Mapping[str, Any]]) -> None:
        """Let pictures of `carried` lose their place: key, reason, rule and detail of each."""
        rows = [{**row, "repairs": []} for row in rejected]
        self._db.register("refused", pa.Table.from_pylist(rows, OUTCOME_ROWS))
        self._db.execute(f"INSERT INTO outcomes SELECT {_COLUMNS} FROM refused")
        self._db.execute("DELETE FROM carried WHERE key IN (SELECT key FROM refused)")

    def carry_pictures(self, now: str) -> tuple[int, int]:
        """Let what is in `carried` be outcomes; how many pictures, and how many are revalidated besides.

        Args:
            now: ISO 8601, UTC: those are whose source's `revalidate_days` have passed since they were seen.
        """
        self._db.execute("INSERT INTO outcomes SELECT *, '', '', '' FROM carried")
        self._db.execute(
            """
            INSERT INTO revalidated SELECT key, etag, last_modified FROM carried JOIN fetches USING (key)
            JOIN (SELECT DISTINCT key, source FROM heads) USING (key) JOIN policies USING (source)
            WHERE days IS NOT NULL
            AND requested_at < strftime(?::TIMESTAMP - to_seconds(days * 86400), '%Y-%m-%dT%H:%M:%SZ')
            """,
            [now.removesuffix("Z")],
        )
        ((pictures, revalidated),) = self.rows(
            "SELECT (SELECT count(*) FROM carried), (SELECT count(*) FROM revalidated)"
        )
        return int(pictures), int(revalidated)

    def carry_rejections(self, standing: Iterable[tuple[str, str]], now: str) -> int:
        """Let rows stay rejected that the earlier edition rejected; how many.

        Args:
            standing: (source, rule) on which a final refusal stands today still.
            now: ISO 8601, UTC: failures that may pass stay until they are due.
        """
        pairs = list(standing)
        self._db.register(
            "standing",
            pa.table(
                {
                    "source": pa.array([source for source, _ in pairs], pa.string()),
                    "rule": pa.array([rule for _, rule in pairs], pa.string()),
                }
            ),
        )
        first, most = RETRY_DAYS
        ((rows,),) = self.rows(
            f"""
            INSERT INTO outcomes
            SELECT h.key, '', '', 0, 0, 0, [], '', 0, 0, p.reason, p.rule, p.detail
            FROM previous_rejects p JOIN heads h USING (uid) LEFT JOIN fetches f ON f.key = h.key
            WHERE h.reason = '' AND NOT h.changed AND h.key NOT IN (SELECT key FROM outcomes)
            AND p.reason NOT IN ('{Reason.DUPLICATE_URL}', '{Reason.TAKEN_DOWN}')
            AND CASE WHEN p.reason IN ({PASSING})
                THEN f.retry_at > ? OR (f.failures > 1 AND ?::TIMESTAMP < f.requested_at::TIMESTAMP
                    + to_seconds(86400 * least({most}, {first} * power(2, f.failures - 2))))
                ELSE (h.source, p.rule) IN (SELECT (source, rule) FROM standing) END
            QUALIFY row_number() OVER (PARTITION BY h.key ORDER BY h.uid) = 1
            """,
            [now, now.removesuffix("Z")],
        )
        return int(rows)

    # where the bytes lie

    def pictures_of(self, outcomes: Sequence[Path]) -> list[Picture]:
        """Distinct pictures of parts, by their tables, that lie in those parts' tars; sorted by hash."""
        create_view(self._db, "later", *outcomes)
        return self.rows(
            f"""
            SELECT sha256, any_value(format), min_by(file, file), min_by("offset", file), min_by(length, file)
            FROM outcomes o WHERE {_REPACKED} GROUP BY sha256 ORDER BY sha256
            """
        )

    def relocate(self, places: Sequence[Path]) -> None:
        """Record where the pictures of the last `pictures_of` lie now: sha256, file, offset, length."""
        create_view(self._db, "places", *places)
        self._db.execute(
            f"""
            UPDATE outcomes AS o SET file = p.file, "offset" = p."offset", length = p.length
            FROM places p WHERE p.sha256 = o.sha256 AND {_REPACKED}
            """
        )

    # the end

    def settle(self, placeholder_urls: int) -> None:
        """Refuse what is only known once all bytes are here, and gather what the results are written from.

        Args:
            placeholder_urls: the same bytes under this many URLs of one host are a placeholder.
        """
        self._db.execute(
            f"""
            UPDATE outcomes SET reason = '{Reason.TAKEN_DOWN}', rule = 'take-down ' || t.number, detail = '',
                file = ''
            FROM (SELECT value, min(number) AS number FROM takedowns WHERE kind = 'sha256' GROUP BY value) t
            WHERE t.value = outcomes.sha256 AND reason IN ('', '{Reason.TAKEN_DOWN}')
            """
        )
        self._db.execute(_PLACEHOLDERS, [placeholder_urls])
        self._db.execute(
            f"""
            UPDATE outcomes SET reason = '{Reason.PLACEHOLDER}', rule = 'placeholder_urls={placeholder_urls}',
                detail = p.sha256 || ' under many URLs of ' || p.host, file = ''
            FROM (SELECT DISTINCT key, p.sha256, p.host FROM heads JOIN placeholders p USING (host)) p
            WHERE p.key = outcomes.key AND p.sha256 = outcomes.sha256 AND outcomes.reason = ''
            """
        )
        self._gather()
