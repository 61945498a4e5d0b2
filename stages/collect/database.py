"""The tables of a collection, in DuckDB and out of core, and what is read from them.

    source_rows    every row of the sources
    taken          those that are collected: of each source as many as `limit` says
    heads          of these the first of each uid, refused where it is taken down already
    outcomes       key -> what became of a picture, as in `outcomes.OUTCOMES`
    pending        key -> a failure that may pass, to be tried again in a later round
    fetches        key -> the record of the last fetch, as in `outcomes.FETCHES`
    fetched        keys that were fetched in this edition
    revalidated    key -> validators (ETag, Last-Modified) of pictures that are here and fetched again
    policies       source -> what decides on the answer to a URL besides the URL; days until revalidation
    takedowns      what must not come back
    rejected, caption_sizes    once the collection is settled: rejects, and bytes of each row's captions

A *key* names a request: one for all rows that name the same URL under the same policy, and the uid of a row
whose bytes lie on this machine. Modules besides this one and `state` ask by methods, or read with `rows`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from stages.collect.outcomes import FETCHES, OUTCOMES
from stages.config.collect import CollectConfig
from stages.fingerprint import JSON
from stages.parquet_view import create_view, database_file, literal, parquet
from stages.reasons import RETRYABLE, Reason
from stages.takedown.matches import host_of, taken_down

OUTCOME_ROWS = pa.schema([field for field in OUTCOMES if field.name != "not_modified"])
"""Columns of `outcomes` and `pending`."""
MEMORY = "500MB"
"""What the joins may hold in memory; the rest goes to disk."""
PASSING = ", ".join(f"'{reason}'" for reason in sorted(RETRYABLE))
"""Reasons that may pass, for SQL."""
CAPTION_BYTES = 4_000_000
"""Of the captions of one picture, from all rows that name it; those of further rows are left out."""
_TEXT_BYTES = 32_000_000
"""Texts that are gathered by picture at a time: DuckDB holds lists in memory, whatever its limit."""
_MOST_RANGES = 16**3
_BATCH = 10_000

_TAKEN = """
CREATE TABLE taken AS
SELECT s.*, CASE WHEN path = '' THEN left(sha256(policy || chr(10) || location), 32) ELSE uid END AS key
FROM source_rows s JOIN policies USING (source)
"""
_WITHIN_LIMIT = "QUALIFY row_number() OVER (PARTITION BY source ORDER BY uid, number) <= ?"

_HEADS = f"""
CREATE TABLE heads AS
WITH firsts AS (
    SELECT *, {host_of()} AS host FROM taken
    QUALIFY row_number() OVER (PARTITION BY uid ORDER BY number) = 1
), forgotten AS (
    {taken_down("firsts", ("uid", "url", "host"))}
)
SELECT f.* REPLACE (CASE WHEN out THEN '{Reason.TAKEN_DOWN}' ELSE reason END AS reason,
    CASE WHEN out THEN 'take-down ' || takedown ELSE rule END AS rule)
FROM (
    SELECT firsts.*, takedown, reason = '' AND takedown IS NOT NULL AS out FROM firsts
    LEFT JOIN forgotten USING (uid)
) f
"""

_REJECTED = f"""
CREATE TABLE rejected AS
SELECT h.uid, o.reason, o.rule, o.detail, '' AS merged_into, h.location, h.row
FROM heads h JOIN outcomes o USING (key) WHERE h.reason = '' AND o.reason <> ''
UNION ALL
SELECT uid, reason, rule, detail, '', location, row FROM heads WHERE reason <> ''
UNION ALL
SELECT t.uid, '{Reason.DUPLICATE_URL}', '', '', t.uid, t.location, t.row
FROM taken t JOIN heads h USING (uid) WHERE t.number <> h.number
"""

_CAPTION_SIZES = """
CREATE TABLE caption_sizes AS
SELECT uid, number, size, sum(size) OVER (PARTITION BY uid ORDER BY number) - size > ? AS too_many
FROM (
    SELECT uid, number, coalesce(list_sum(list_transform(captions, lambda c: strlen(c))), 0) AS size
    FROM taken
)
"""

_IMAGES = """
WITH texts AS (
    SELECT uid, list(
        {{'text': text, 'source': origin, 'weight': 1::FLOAT}} ORDER BY number, position
    ) AS captions
    FROM (
        SELECT * FROM (
            SELECT t.uid, number, unnest(captions) AS text, unnest(caption_sources) AS origin,
                generate_subscripts(captions, 1) AS position
            FROM taken t JOIN caption_sizes USING (uid, number)
            WHERE t.uid >= '{0}' AND t.uid < '{1}' AND NOT too_many
        ) QUALIFY row_number() OVER (PARTITION BY uid, text ORDER BY number, position) = 1
    ) GROUP BY uid
)
SELECT h.uid, o.sha256, h.source, h.location, coalesce(t.captions, []) AS captions, h.licence,
    h.columns, o.format, o.width, o.height, o.frames, o.repairs, o.file, o."offset", o.length
FROM heads h JOIN outcomes o USING (key) LEFT JOIN texts t USING (uid)
WHERE h.reason = '' AND o.reason = '' AND h.uid >= '{0}' AND h.uid < '{1}' ORDER BY h.uid
"""
"""The pictures of a range of uids, with the captions of all rows that name them."""

_FETCHES = f"""
SELECT f.* REPLACE (o.reason AS reason,
    CASE WHEN o.reason IN ({PASSING}) THEN f.failures + (f.key IN (SELECT key FROM fetched))::INT
        ELSE 0 END AS failures)
FROM fetches f JOIN outcomes o USING (key) ORDER BY f.key
"""

_HOSTS = """
SELECT host, sum(requests)::BIGINT AS requests, sum(pictures)::BIGINT AS pictures, sum(size)::BIGINT AS bytes,
    sum(seconds) AS seconds,
    map_from_entries(list((reason, n) ORDER BY reason) FILTER (reason <> '')) AS reasons
FROM (
    SELECT h.host, o.reason, count(*) AS n, sum(requests) AS requests,
        sum((o.reason = '')::INT) AS pictures, sum(bytes) AS size, sum(seconds) AS seconds
    FROM (SELECT DISTINCT key, host FROM heads WHERE path = '' AND reason = '') h
    JOIN outcomes o USING (key) LEFT JOIN fetches USING (key) GROUP BY h.host, o.reason
) GROUP BY host ORDER BY host
"""

_SOURCES = """
SELECT source, count(*), count(*) FILTER (h.reason = '' AND o.reason = '' AND t.number = h.number)
FROM taken t JOIN heads h USING (uid, source) LEFT JOIN outcomes o ON o.key = h.key
GROUP BY source ORDER BY source
"""


class CollectionDatabase:
    """The tables, opened on the rows of the sources; `state.CollectionState` has what changes them."""

    def __init__(self, rows: Path, config: CollectConfig, takedowns: Any, scratch: Path) -> None:
        """Read the rows that came in.

        Args:
            rows: table of `rows.ROWS`.
            config: its `limit` takes of each source the rows with the smallest uids, which are hashes, so
                that the sample is spread over the source and stays the same as the source grows.
            takedowns: of `takedown.tables`: what must not be requested.
            scratch: where what does not fit into memory goes.
        """
        self._scratch = scratch
        self._db = duckdb.connect(
            database_file(scratch / "state.duckdb"),
            config={"temp_directory": str(scratch / "duckdb"), "memory_limit": MEMORY},
        )
        self._db.execute("SET preserve_insertion_order = false")
        with suppress(duckdb.InvalidInputException):  # Jupyter without widgets has none to switch off
            self._db.execute("SET enable_progress_bar = false")
        self._db.register("policies", _policies(config))
        self._db.register("takedowns", takedowns)
        create_view(self._db, "source_rows", rows)
        if config.limit:
            self._db.execute(_TAKEN + _WITHIN_LIMIT, [config.limit])
        else:
            self._db.execute(_TAKEN)
        self._db.execute(_HEADS)
        for name, schema in (("outcomes", OUTCOME_ROWS), ("pending", OUTCOME_ROWS), ("fetches", FETCHES)):
            self._db.register("none", schema.empty_table())
            self._db.execute(f"CREATE TABLE {name} AS SELECT * FROM none")
        self._db.execute("CREATE TABLE revalidated (key VARCHAR, etag VARCHAR, last_modified VARCHAR)")
        self._db.execute("CREATE TABLE fetched (key VARCHAR)")

    def rows(self, query: str, parameters: Any = None) -> list[Any]:
        """The rows of a small answer."""
        return self._db.execute(query, parameters).fetchall()

    def batches(self, query: str) -> Iterator[Any]:
        """The rows of an answer of any size, as Arrow record batches."""
        yield from self._db.sql(query).to_arrow_reader(_BATCH)

    def images(self) -> Iterator[Any]:
        """Pictures with all their captions, in the order of uids; after `settle`."""
        for first, end in self._uid_ranges():
            yield from self.batches(_IMAGES.format(first, end))

    def rejects(self) -> Iterator[Any]:
        """Rows without a picture of their own; after `settle`."""
        return self.batches("SELECT * FROM rejected ORDER BY uid, row")

    def fetches(self) -> Iterator[Any]:
        """The last fetch of every request of today, this edition's failures counted in."""
        return self.batches(_FETCHES)

    def reasons(self) -> dict[str, int]:
        """Reason -> rejects; after `settle`."""
        return dict(self.rows("SELECT reason, count(*) FROM rejected GROUP BY reason ORDER BY reason"))

    def files(self) -> list[str]:
        """The tars in which pictures lie, sorted."""
        query = """
            SELECT DISTINCT file FROM outcomes o JOIN heads h USING (key)
            WHERE h.reason = '' AND o.reason = '' ORDER BY file
        """
        return [file for (file,) in self.rows(query)]

    def captions_omitted(self) -> int:
        """Rows whose captions are left out, since rows before them gave their picture `CAPTION_BYTES`."""
        return int(self.rows("SELECT count_if(too_many) FROM caption_sizes")[0][0])

    def source_statistics(self) -> dict[str, JSON]:
        """Rows and pictures of each source."""
        return {name: {"rows": rows, "pictures": pictures} for name, rows, pictures in self.rows(_SOURCES)}

    def largest_hosts(self, file: str) -> Counter[str]:
        """The ten hosts with the most requests in a file of requests."""
        query = f"SELECT {host_of('url')} AS host, count(*) FROM {parquet(file)} GROUP BY host"
        return Counter(dict(self.rows(query + " ORDER BY 2 DESC, 1 LIMIT 10")))

    def write_hosts(self, path: Path) -> None:
        """Write what the fetches come to for each host."""
        self._db.execute(f"COPY ({_HOSTS}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")

    def close(self) -> None:
        """Give memory and scratch space back."""
        self._db.close()

    def _gather(self) -> None:
        """Make the tables that results are read from."""
        self._db.execute(_REJECTED)
        self._db.execute(_CAPTION_SIZES, [CAPTION_BYTES])

    def _uid_ranges(self) -> list[tuple[str, str]]:
        """Ranges of uids, in order, with about `_TEXT_BYTES` of texts each: uids are hashes, so even ones."""
        ((total,),) = self.rows(
            "SELECT coalesce(sum(size) FILTER (NOT too_many), 0) + (SELECT coalesce(sum(strlen(columns)), 0) "
            "FROM heads) FROM caption_sizes"
        )
        count = min(_MOST_RANGES, 1 + int(total) // _TEXT_BYTES)
        bounds = ["", *(f"{number * 16**4 // count:04x}" for number in range(1, count)), "g"]
        return list(pairwise(bounds))


def _policies(config: CollectConfig) -> Any:
    """source, policy, days: URLs that sources with one policy share are one request."""
    policies: dict[str, Mapping[str, Any]] = {
        source.name: {"obey": sorted(source.obey), "networks": sorted(source.allow_networks)}
        for source in config.urls
    }
    policies |= {source.name: {} for source in (*config.folders, *config.tars, *config.parquets)}
    days = {source.name: source.revalidate_days for source in config.urls}
    words = [json.dumps(policy, sort_keys=True) for policy in policies.values()]
    return pa.table(
        {
            "source": pa.array(list(policies), pa.string()),
            "policy": pa.array(words, pa.string()),
            "days": pa.array([days.get(name) for name in policies], pa.float64()),
        }
    )
