"""Which rows are held already, which must be fetched, what became of all: joins on tables, out of core."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifact import Artifact, Funnel
from stages.collect.judge import Rules, judge_size
from stages.collect.outcome import OUTCOMES
from stages.reasons import RETRYABLE, Reason
from stages.record import IMAGES, REJECTS

_FATES = ", ".join(f'"{name}"' for name in OUTCOMES.names)


class Plan:
    """The rows of a collection (`taken`), the first of each uid (`heads`), what is known (`fates`)."""

    def __init__(self, rows: Path, limit: int | None, scratch: Path) -> None:
        """Read the rows that came in.

        Args:
            rows: table of `rows.ROWS`.
            limit: rows of each source that are taken: those with the smallest uids, which are hashes, so
                that the sample is spread over the source and stays the same as the source grows. None takes
                all.
            scratch: where what does not fit into memory goes.
        """
        self._sql = duckdb.connect(config={"temp_directory": str(scratch / "duckdb")})
        self._sql.read_parquet(str(rows)).create_view("given")
        kept = (
            f"QUALIFY row_number() OVER (PARTITION BY source ORDER BY uid, number) <= {limit}"
            if limit
            else ""
        )
        self._sql.execute(f"CREATE TABLE taken AS SELECT * FROM given {kept}")
        self._sql.execute(
            "CREATE TABLE heads AS SELECT * FROM taken"
            " QUALIFY row_number() OVER (PARTITION BY uid ORDER BY number) = 1"
        )
        self._sql.register("no_fates", OUTCOMES.empty_table())
        self._sql.execute("CREATE TABLE fates AS SELECT * FROM no_fates")

    def reuse(self, previous: Artifact, rules: Rules, private: Mapping[str, bool]) -> dict[str, int]:
        """Take over what an earlier edition knows of these rows; how many rows of each kind.

        Pictures held there are held here, by reference, unless a rule of today refuses them. Rows rejected
        there stay rejected where the reason is final and stands on a rule that is still the same. All
        others are fetched again.

        Args:
            previous: the earlier edition.
            rules: those of today.
            private: name of a source -> whether it may connect to private addresses.
        """
        self._sql.read_parquet(str(previous.path("images.parquet"))).create_view("held")
        self._sql.read_parquet(str(previous.path("rejects.parquet"))).create_view("refused")
        self._sql.execute(
            """
            CREATE TABLE reused AS
            SELECT h.uid, p.sha256, p.format, p.width, p.height, p.file, p."offset", p.length
            FROM held p JOIN heads h USING (uid) WHERE h.reason = '' AND NOT h.changed
            """
        )
        found = self._sql.execute(
            "SELECT uid, width, height, length FROM reused"
            " WHERE least(width, height) < ? OR width::BIGINT * height > ? OR length > ?",
            [rules.min_side, rules.max_pixels, rules.max_bytes],
        ).fetchall()
        refused: list[dict[str, Any]] = []
        for uid, width, height, length in found:
            verdict = judge_size(width, height, rules)
            reason = verdict.reason if verdict and length <= rules.max_bytes else Reason.TOO_MANY_BYTES
            detail = verdict.detail if verdict and length <= rules.max_bytes else f"{length} bytes"
            refused.append({"uid": uid, "reason": reason, "rule": rules.rule(reason), "detail": detail})
        self._sql.register("refused_now", pa.Table.from_pylist(refused, OUTCOMES))
        self._sql.execute(f"INSERT INTO fates SELECT {_FATES} FROM refused_now")
        self._sql.execute("DELETE FROM reused WHERE uid IN (SELECT uid FROM refused_now)")
        self._sql.execute("INSERT INTO fates SELECT *, '', '', '' FROM reused")

        words = {rules.rule(reason) for reason in Reason} - {"allow_private=false"}
        standing = [(source, word) for source in private for word in words]
        standing += [(source, "allow_private=false") for source, allowed in private.items() if not allowed]
        self._sql.register(
            "standing",
            pa.table({"source": [source for source, _ in standing], "rule": [word for _, word in standing]}),
        )
        again = ", ".join(f"'{reason}'" for reason in sorted({*RETRYABLE, Reason.DUPLICATE_URL}))
        carried = self._sql.execute(
            f"""
            INSERT INTO fates
            SELECT h.uid, '', '', 0, 0, '', 0, 0, p.reason, p.rule, p.detail
            FROM refused p JOIN heads h USING (uid) JOIN standing s ON s.source = h.source AND s.rule = p.rule
            WHERE h.reason = '' AND NOT h.changed AND p.reason NOT IN ({again})
            """
        ).fetchall()[0][0]
        return {"reused": self._count("reused"), "carried": int(carried) + len(refused)}

    def wanted(self, source: str, rows: int) -> Iterator[Any]:
        """Rows of a source of which nothing is known yet, sorted by uid, in Arrow tables of so many."""
        self._sql.execute(
            """
            CREATE OR REPLACE TEMP TABLE wanted AS
            SELECT uid, location, path, "offset", length, stamp FROM heads
            WHERE source = ? AND reason = '' AND uid NOT IN (SELECT uid FROM fates)
            """,
            [source],
        )
        found = self._arrow("SELECT * FROM wanted ORDER BY uid")
        for start in range(0, len(found), rows):
            yield found.slice(start, rows)

    def learn(self, outcomes: Sequence[Path]) -> None:
        """Take in what parts found out about their rows."""
        if outcomes:
            self._sql.read_parquet([str(path) for path in outcomes]).create_view("learnt")
            self._sql.execute(f"INSERT INTO fates SELECT {_FATES} FROM learnt")

    def write(self, images: Path, rejects: Path) -> tuple[Funnel, list[str]]:
        """Write the two result tables; the funnel over all rows, and the files that hold pictures, sorted."""
        self._sql.execute(
            """
            CREATE TABLE texts AS
            SELECT uid, list(
                {'text': text, 'source': caption_source, 'weight': 1::FLOAT} ORDER BY number, position
            ) AS captions
            FROM (
                SELECT * FROM (
                    SELECT uid, caption_source, number, unnest(captions) AS text,
                        generate_subscripts(captions, 1) AS position
                    FROM taken
                ) QUALIFY row_number() OVER (PARTITION BY uid, text ORDER BY number, position) = 1
            ) GROUP BY uid
            """
        )
        held = self._arrow(
            """
            SELECT h.uid, f.sha256, h.source, h.location, coalesce(t.captions, []) AS captions, h.columns,
                f.format, f.width, f.height, f.file, f."offset", f.length
            FROM heads h JOIN fates f USING (uid) LEFT JOIN texts t USING (uid)
            WHERE f.reason = '' ORDER BY h.uid
            """
        )
        left = self._arrow(
            """
            SELECT h.uid, f.reason, f.rule, f.detail, '' AS merged_into, h.location, h.row
            FROM heads h JOIN fates f USING (uid) WHERE f.reason <> ''
            UNION ALL
            SELECT uid, reason, '', detail, '', location, row FROM heads WHERE reason <> ''
            UNION ALL
            SELECT t.uid, 'duplicate_url', '', '', t.uid, t.location, t.row
            FROM taken t JOIN heads h USING (uid) WHERE t.number <> h.number
            ORDER BY uid, row
            """
        )
        pq.write_table(held.combine_chunks().cast(IMAGES), images, compression="zstd")
        pq.write_table(left.combine_chunks().cast(REJECTS), rejects, compression="zstd")
        self._sql.register("left_out", left)
        reasons = dict(self._rows("SELECT reason, count(*) FROM left_out GROUP BY reason ORDER BY reason"))
        files = [
            file for (file,) in self._rows("SELECT DISTINCT file FROM fates WHERE file <> '' ORDER BY file")
        ]
        return Funnel(self._count("taken"), len(held), reasons), files

    def per_source(self) -> dict[str, dict[str, int]]:
        """Rows and pictures of each source."""
        found = self._rows(
            """
            SELECT source, count(*), count(*) FILTER (f.reason = '' AND t.number = h.number)
            FROM taken t JOIN heads h USING (uid, source) LEFT JOIN fates f USING (uid) GROUP BY source
            ORDER BY source
            """
        )
        return {source: {"rows": rows, "pictures": pictures} for source, rows, pictures in found}

    def close(self) -> None:
        """Give memory and scratch space back."""
        self._sql.close()

    def _arrow(self, query: str) -> Any:
        return self._sql.sql(query).to_arrow_table()

    def _rows(self, query: str) -> list[Any]:
        return self._sql.execute(query).fetchall()

    def _count(self, table: str) -> int:
        return int(self._rows(f"SELECT count(*) FROM {table}")[0][0])
