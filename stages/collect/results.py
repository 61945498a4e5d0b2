"""The tables of a finished collection: what is held, what is not and why, and what the web said."""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifacts.artifact import Funnel
from stages.collect.outcomes import ANSWERS
from stages.collect.state import PASSING, CollectionState
from stages.fingerprint import JSON
from stages.parquet_view import literal
from stages.reasons import Reason
from stages.record import IMAGES, REJECTS

CAPTION_BYTES = 4_000_000
"""Of the captions of one picture, from all rows that name it; those of further rows are left out."""
_RANGE_BYTES = 32_000_000
"""Texts that are gathered by picture at a time: DuckDB holds lists in memory, whatever its limit."""
_MOST_RANGES = 16**3
_BATCH = 10_000
_GROUP = 100_000
"""Rows of a row group of a result ..."""
_GROUP_BYTES = 128 << 20
"""... unless captions are so long that fewer are held at a time."""

_PLACEHOLDERS = f"""
CREATE TABLE placeholders AS
WITH known AS (
    SELECT DISTINCT left(detail, 64) AS sha256, regexp_extract(detail, ' URLs of (.*)$', 1) AS host
    FROM fates WHERE reason = '{Reason.PLACEHOLDER}'
), found AS (
    SELECT sha256, host, count(DISTINCT location) AS urls
    FROM heads JOIN fates f USING (key) WHERE f.reason = '' AND host <> '' GROUP BY sha256, host
)
SELECT sha256, host, urls FROM found
WHERE urls >= ? OR (sha256, host) IN (SELECT (sha256, host) FROM known)
"""

_HELD = """
WITH texts AS (
    SELECT uid, list(
        {{'text': text, 'source': origin, 'weight': 1::FLOAT}} ORDER BY number, position
    ) AS captions
    FROM (
        SELECT * FROM (
            SELECT t.uid, number, unnest(captions) AS text, unnest(caption_sources) AS origin,
                generate_subscripts(captions, 1) AS position
            FROM taken t JOIN said USING (uid, number)
            WHERE t.uid >= '{0}' AND t.uid < '{1}' AND NOT too_many
        ) QUALIFY row_number() OVER (PARTITION BY uid, text ORDER BY number, position) = 1
    ) GROUP BY uid
)
SELECT h.uid, f.sha256, h.source, h.location, coalesce(t.captions, []) AS captions, h.licence,
    h.columns, f.format, f.width, f.height, f.frames, f.repairs, f.file, f."offset", f.length
FROM heads h JOIN fates f USING (key) LEFT JOIN texts t USING (uid)
WHERE h.reason = '' AND f.reason = '' AND h.uid >= '{0}' AND h.uid < '{1}' ORDER BY h.uid
"""
"""The pictures of a range of uids, with the captions of all rows that name them."""


def settle(state: CollectionState, placeholder_urls: int) -> None:
    """Refuse what is only known once all bytes are here: placeholders, and bytes that were taken down.

    Args:
        state: with a fate for every question.
        placeholder_urls: the same bytes under this many URLs of one host are a placeholder.
    """
    state.sql.execute(
        f"""
        UPDATE fates SET reason = '{Reason.TAKEN_DOWN}', rule = 'take-down ' || t.number, detail = '',
            file = ''
        FROM (SELECT value, min(number) AS number FROM takedowns WHERE kind = 'sha256' GROUP BY value) t
        WHERE t.value = fates.sha256 AND reason IN ('', '{Reason.TAKEN_DOWN}')
        """
    )
    state.sql.execute(_PLACEHOLDERS, [placeholder_urls])
    state.sql.execute(
        f"""
        UPDATE fates SET reason = '{Reason.PLACEHOLDER}', rule = 'placeholder_urls={placeholder_urls}',
            detail = p.sha256 || ' under many URLs of ' || p.host, file = ''
        FROM (SELECT DISTINCT key, p.sha256, p.host FROM heads JOIN placeholders p USING (host)) p
        WHERE p.key = fates.key AND p.sha256 = fates.sha256 AND fates.reason = ''
        """
    )


def write_tables(state: CollectionState, images: Path, rejects: Path) -> tuple[Funnel, list[str], int]:
    """Write the two result tables.

    Returns:
        The funnel over all rows; the files that hold pictures, sorted; the rows whose captions were left out
        since rows before them had given their picture `CAPTION_BYTES` already.
    """
    state.sql.execute(
        """
        CREATE TABLE left_out AS
        SELECT h.uid, f.reason, f.rule, f.detail, '' AS merged_into, h.location, h.row
        FROM heads h JOIN fates f USING (key) WHERE h.reason = '' AND f.reason <> ''
        UNION ALL
        SELECT uid, reason, rule, detail, '', location, row FROM heads WHERE reason <> ''
        UNION ALL
        SELECT t.uid, 'duplicate_url', '', '', t.uid, t.location, t.row
        FROM taken t JOIN heads h USING (uid) WHERE t.number <> h.number
        """
    )
    state.sql.execute(
        f"""
        CREATE TABLE said AS
        SELECT uid, number, size, sum(size) OVER (PARTITION BY uid ORDER BY number) - size > {CAPTION_BYTES}
            AS too_many
        FROM (
            SELECT uid, number, coalesce(list_sum(list_transform(captions, lambda c: strlen(c))), 0) AS size
            FROM taken
        )
        """
    )
    rows_out = _write(state, [_HELD.format(first, end) for first, end in _ranges(state)], images, IMAGES)
    _write(state, ["SELECT * FROM left_out ORDER BY uid, row"], rejects, REJECTS)
    reasons = dict(state.rows("SELECT reason, count(*) FROM left_out GROUP BY reason ORDER BY reason"))
    used = (
        "SELECT DISTINCT file FROM fates JOIN heads h USING (key) WHERE h.reason = '' AND fates.reason = ''"
    )
    files = [file for (file,) in state.rows(used + " ORDER BY file")]
    ((too_many,),) = state.rows("SELECT count_if(too_many) FROM said")
    return Funnel(state.rows("SELECT count(*) FROM taken")[0][0], rows_out, reasons), files, too_many


def _ranges(state: CollectionState) -> list[tuple[str, str]]:
    """Ranges of uids, in order, with about `_RANGE_BYTES` of texts each: uids are hashes, so even ones."""
    ((total,),) = state.rows(
        "SELECT coalesce(sum(size) FILTER (NOT too_many), 0) + (SELECT coalesce(sum(strlen(columns)), 0) "
        "FROM heads) FROM said"
    )
    count = min(_MOST_RANGES, 1 + int(total) // _RANGE_BYTES)
    bounds = ["", *(f"{number * 16**4 // count:04x}" for number in range(1, count)), "g"]
    return list(pairwise(bounds))


def write_evidence(state: CollectionState, answers: Path, hosts: Path) -> None:
    """Write what the web said, of every URL that is asked for today, and what that comes to for each host."""
    said = f"""
        SELECT a.* REPLACE (f.reason AS reason,
            CASE WHEN f.reason IN ({PASSING}) THEN a.failures + (a.key IN (SELECT key FROM now_asked))::INT
                ELSE 0 END AS failures)
        FROM answers a JOIN fates f USING (key) ORDER BY a.key
    """
    _write(state, [said], answers, ANSWERS)
    state.sql.execute(
        """
        COPY (
            SELECT host, sum(asked)::BIGINT AS asked, sum(held)::BIGINT AS held, sum(size)::BIGINT AS bytes,
                sum(seconds) AS seconds,
                map_from_entries(list((reason, n) ORDER BY reason) FILTER (reason <> '')) AS reasons
            FROM (
                SELECT h.host, f.reason, count(*) AS n, sum(tries) AS asked,
                    sum((f.reason = '')::INT) AS held, sum(bytes) AS size, sum(seconds) AS seconds
                FROM (SELECT DISTINCT key, host FROM heads WHERE path = '' AND reason = '') h
                JOIN fates f USING (key) LEFT JOIN answers USING (key) GROUP BY h.host, f.reason
            ) GROUP BY host ORDER BY host
        ) TO """
        + literal(str(hosts))
        + " (FORMAT parquet, COMPRESSION zstd)"
    )


def per_source(state: CollectionState) -> dict[str, JSON]:
    """Rows and pictures of each source."""
    found = state.rows(
        """
        SELECT source, count(*),
            count(*) FILTER (h.reason = '' AND f.reason = '' AND t.number = h.number)
        FROM taken t JOIN heads h USING (uid, source) LEFT JOIN fates f ON f.key = h.key
        GROUP BY source ORDER BY source
        """
    )
    return {source: {"rows": rows, "pictures": pictures} for source, rows, pictures in found}


def _write(state: CollectionState, queries: Iterable[str], path: Path, schema: Any) -> int:
    rows = 0
    group: list[Any] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:

        def write() -> None:
            writer.write_table(pa.Table.from_batches(group, schema))
            group.clear()

        for query in queries:
            for batch in state.sql.sql(query).to_arrow_reader(_BATCH):
                group.append(batch.cast(schema))
                rows += len(batch)
                if sum(map(len, group)) >= _GROUP or sum(piece.nbytes for piece in group) >= _GROUP_BYTES:
                    write()
        if group:
            write()
    return rows
