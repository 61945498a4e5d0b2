"""Which rows are held already, what must be asked, what became of all: joins on tables, out of core."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from stages.collect.outcomes import ANSWERS, OUTCOMES
from stages.config.collect import CollectConfig
from stages.fingerprint import fingerprint_of
from stages.parquet_view import create_view, database_file, parquet
from stages.reasons import RETRYABLE, Reason

FATES = pa.schema([field for field in OUTCOMES if field.name != "unchanged"])
MEMORY = "500MB"
"""What the joins may hold in memory; the rest goes to disk."""
PASSING = ", ".join(f"'{reason}'" for reason in sorted(RETRYABLE))
HOST = r"regexp_extract(location, '^https?://(\[[^]]*\]|[^/:?#]+)', 1)"
QUESTIONS = ("key", "url", "policy", "etag", "last_modified")
COPIES = ("key", "path", "offset", "length", "stamp")


@dataclass(frozen=True)
class RowGroup:
    """What a part asks, in a file: the rows of one of its row groups."""

    file: str
    group: int
    rows: int
    digest: str
    """Of what the answers depend on, for the part's fingerprint."""

    def read(self) -> list[dict[str, Any]]:
        """The rows."""
        return pq.ParquetFile(self.file).read_row_group(self.group).to_pylist()


class CollectionState:
    """The rows of a collection (`taken`), the first of each uid (`heads`), what is known (`fates`).

    A question has a *key*: one for all rows that name the same URL under the same policy, and the uid of a
    row whose bytes lie on this machine.
    """

    def __init__(self, rows: Path, config: CollectConfig, takedowns: Any, scratch: Path) -> None:
        """Read the rows that came in.

        Args:
            rows: table of `rows.ROWS`.
            config: its `limit` takes of each source the rows with the smallest uids, which are hashes, so
                that the sample is spread over the source and stays the same as the source grows.
            takedowns: of `takedown.tables`: what must not be asked for.
            scratch: where what does not fit into memory goes.
        """
        self._scratch = scratch
        self.sql = duckdb.connect(
            database_file(scratch / "state.duckdb"),
            config={"temp_directory": str(scratch / "duckdb"), "memory_limit": MEMORY},
        )
        self.sql.execute("SET preserve_insertion_order = false")
        with suppress(duckdb.InvalidInputException):  # Jupyter without widgets has none to switch off
            self.sql.execute("SET enable_progress_bar = false")
        self.sql.register("policies", _policies(config))
        self.sql.register("takedowns", takedowns)
        create_view(self.sql, "given", rows)
        kept = (
            "QUALIFY row_number() OVER (PARTITION BY source ORDER BY uid, number) <= ?"
            if config.limit
            else ""
        )
        self.sql.execute(
            f"""
            CREATE TABLE taken AS
            SELECT g.*,
                CASE WHEN path = '' THEN left(sha256(policy || chr(10) || location), 32) ELSE uid END AS key
            FROM given g JOIN policies USING (source) {kept}
            """,
            [config.limit] if config.limit else [],
        )
        self.sql.execute(
            f"""
            CREATE TABLE heads AS
            WITH firsts AS (
                SELECT *, {HOST} AS host FROM taken
                QUALIFY row_number() OVER (PARTITION BY uid ORDER BY number) = 1
            ), forgotten AS (
                SELECT uid, min(t.number) AS takedown FROM firsts f JOIN takedowns t
                ON (t.kind = 'uid' AND t.value = f.uid) GROUP BY uid
                UNION ALL
                SELECT uid, min(t.number) FROM firsts f JOIN takedowns t
                ON (t.kind = 'url' AND t.value = f.location) GROUP BY uid
                UNION ALL
                SELECT uid, min(t.number) FROM firsts f JOIN takedowns t
                ON (t.kind = 'host' AND (f.host = t.value OR ends_with(f.host, '.' || t.value))) GROUP BY uid
            )
            SELECT f.* REPLACE (CASE WHEN out THEN '{Reason.TAKEN_DOWN}' ELSE reason END AS reason,
                CASE WHEN out THEN 'take-down ' || takedown ELSE rule END AS rule)
            FROM (
                SELECT firsts.*, takedown, reason = '' AND takedown IS NOT NULL AS out FROM firsts
                LEFT JOIN (SELECT uid, min(takedown) AS takedown FROM forgotten GROUP BY uid) USING (uid)
            ) f
            """
        )
        for name, schema in (("fates", FATES), ("pending", FATES), ("answers", ANSWERS)):
            self.sql.register("none", schema.empty_table())
            self.sql.execute(f"CREATE TABLE {name} AS SELECT * FROM none")
        self.sql.execute("CREATE TABLE stale (key VARCHAR, etag VARCHAR, last_modified VARCHAR)")
        self.sql.execute("CREATE TABLE now_asked (key VARCHAR)")

    def to_ask(self, file: str, rows: int) -> Iterator[RowGroup]:
        """URLs of which nothing is known yet, and pictures to be asked for again; parts of so many."""
        self.sql.execute(
            """
            CREATE OR REPLACE TEMP TABLE asked AS
            SELECT key, any_value(location) AS url, any_value(policy) AS policy,
                '' AS etag, '' AS last_modified
            FROM heads JOIN policies USING (source)
            WHERE reason = '' AND path = '' AND key NOT IN (SELECT key FROM fates) GROUP BY key
            UNION ALL
            SELECT key, any_value(location), any_value(policy), any_value(etag), any_value(last_modified)
            FROM heads JOIN policies USING (source) JOIN stale USING (key) WHERE reason = '' GROUP BY key
            """
        )
        return self._questions("SELECT * FROM asked ORDER BY key", file, rows, QUESTIONS)

    def to_ask_again(self, keys: Path, file: str, rows: int) -> Iterator[RowGroup]:
        """The questions of a table of keys once more."""
        query = f"SELECT a.* FROM asked a JOIN {parquet(keys)} USING (key) ORDER BY key"
        return self._questions(query, file, rows, QUESTIONS)

    def to_copy(self, source: str, file: str, rows: int) -> Iterator[RowGroup]:
        """Rows of a source on this machine of which nothing is known yet."""
        query = """
            SELECT key, path, "offset", length, stamp FROM heads
            WHERE source = $source AND reason = '' AND path <> '' AND key NOT IN (SELECT key FROM fates)
            ORDER BY path, "offset", key
        """
        return self._questions(query, file, rows, COPIES, source=source)

    def hosts_of(self, file: str) -> Counter[str]:
        """The ten greatest hosts of a file of questions."""
        query = f"SELECT {HOST.replace('location', 'url')} AS h, count(*) FROM {parquet(file)} GROUP BY h"
        return Counter(dict(self.rows(query + " ORDER BY 2 DESC, 1 LIMIT 10")))

    def learn(self, outcomes: Sequence[Path], answers: Sequence[Path] = (), tries: int = 0) -> None:
        """Take in what parts found out.

        What may pass stays pending, until `give_up`. A picture that is held and was asked for again stays as
        it is unless a final answer came.

        Args:
            outcomes: tables of parts.
            answers: their tables of what the web said.
            tries: questions that were asked more often than this are settled, whatever came.
        """
        if not outcomes:
            return
        create_view(self.sql, "learnt", *outcomes)
        if answers:
            self._remember(answers)
        self.sql.execute("DELETE FROM pending WHERE key IN (SELECT key FROM learnt)")
        self.sql.execute("CREATE OR REPLACE TEMP TABLE new AS SELECT * FROM learnt WHERE NOT unchanged")
        columns = ", ".join(f'"{name}"' for name in FATES.names)
        passing = f"""reason IN ({PASSING})"""
        self.sql.execute(
            f"""
            INSERT INTO pending SELECT {columns} FROM new
            WHERE {passing} AND key NOT IN (SELECT key FROM fates)
            AND key NOT IN (SELECT key FROM answers WHERE tries > {tries})
            """
        )
        settled = (
            f"(NOT {passing} OR key NOT IN (SELECT key FROM fates)) AND key NOT IN (SELECT key FROM pending)"
        )
        self.sql.execute(f"CREATE OR REPLACE TEMP TABLE settled AS SELECT {columns} FROM new WHERE {settled}")
        self.sql.execute("DELETE FROM fates WHERE key IN (SELECT key FROM settled)")
        self.sql.execute("INSERT INTO fates SELECT * FROM settled")

    def _remember(self, answers: Sequence[Path]) -> None:
        create_view(self.sql, "heard", *answers)
        self.sql.execute(
            """
            CREATE OR REPLACE TEMP TABLE newest AS
            SELECT h.* REPLACE (
                h.tries + CASE WHEN h.key IN (SELECT key FROM now_asked) THEN a.tries ELSE 0 END AS tries,
                CASE WHEN h.asked = '' THEN coalesce(a.asked, '') ELSE h.asked END AS asked,
                CASE WHEN h.status = 304 AND h.etag = '' THEN coalesce(a.etag, '') ELSE h.etag END AS etag,
                CASE WHEN h.status = 304 AND h.last_modified = '' THEN coalesce(a.last_modified, '')
                    ELSE h.last_modified END AS last_modified,
                coalesce(a.failures, 0) AS failures
            ) FROM heard h LEFT JOIN answers a USING (key)
            """
        )
        self.sql.execute("DELETE FROM answers WHERE key IN (SELECT key FROM newest)")
        self.sql.execute("INSERT INTO answers SELECT * FROM newest")
        self.sql.execute(
            "INSERT INTO now_asked SELECT key FROM newest WHERE key NOT IN (SELECT key FROM now_asked)"
        )

    def pending(self) -> tuple[int, str]:
        """How many questions may be asked again, and the earliest time at which one of them wants to be."""
        query = "SELECT count(*), coalesce(min(retry_at), '') FROM pending JOIN answers USING (key)"
        count, due = self.rows(query)[0]
        return int(count), str(due)

    def due(self, now: str, path: Path) -> int:
        """Write the keys of the pending questions that may be asked at a time; how many."""
        query = "SELECT key FROM pending JOIN answers USING (key) WHERE retry_at <= ? ORDER BY key"
        found = self.sql.sql(query, params=[now]).to_arrow_table()
        pq.write_table(found, path)
        return len(found)

    def give_up(self) -> None:
        """What is still pending stays a failure of this edition."""
        self.sql.execute("INSERT INTO fates SELECT * FROM pending")
        self.sql.execute("DELETE FROM pending")

    def rows(self, query: str, parameters: Any = None) -> list[Any]:
        """The rows of a small answer."""
        return self.sql.execute(query, parameters).fetchall()

    def close(self) -> None:
        """Give memory and scratch space back."""
        self.sql.close()

    def _questions(
        self, query: str, name: str, rows: int, columns: Sequence[str], **parameters: str
    ) -> Iterator[RowGroup]:
        path = self._scratch / name
        reader = self.sql.sql(query, params=parameters or None).to_arrow_reader(rows)
        held: list[Any] = []
        with pq.ParquetWriter(path, reader.schema) as writer:
            groups: list[RowGroup] = []

            def flush(batches: list[Any]) -> None:
                table = pa.Table.from_batches(batches, reader.schema).combine_chunks()
                writer.write_table(table, row_group_size=rows)
                told = fingerprint_of([table[column].to_pylist() for column in columns])
                groups.append(RowGroup(str(path), len(groups), len(table), told))

            for batch in reader:
                held.append(batch)
                while (have := sum(len(one) for one in held)) >= rows:
                    table = pa.Table.from_batches(held, reader.schema)
                    flush(table.slice(0, rows).to_batches())
                    held = table.slice(rows).to_batches() if have > rows else []
            if held:
                flush(held)
        return iter(groups)


def _policies(config: CollectConfig) -> Any:
    """source, policy: what decides on the answer to a URL besides the URL; as many questions as policies."""
    told: dict[str, Mapping[str, Any]] = {
        source.name: {"obey": sorted(source.obey), "networks": sorted(source.allow_networks)}
        for source in config.urls
    }
    told |= {source.name: {} for source in (*config.folders, *config.tars, *config.parquets)}
    days = {source.name: source.revalidate_days for source in config.urls}
    return pa.table(
        {
            "source": pa.array(list(told), pa.string()),
            "policy": pa.array([json.dumps(said, sort_keys=True) for said in told.values()], pa.string()),
            "days": pa.array([days.get(name) for name in told], pa.float64()),
        }
    )
