"""What contradicts what sources say of a picture: kept as evidence, for nobody knows which is right."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.collect.report.views import views
from stages.parquet_view import parquet

CONFLICTS = pa.schema(
    [
        ("uid", pa.string()),
        ("kind", pa.string()),  # "column", "captions" or "licence"
        ("subject", pa.string()),  # the column's name; for copies the SHA-256 of the bytes
        ("stated", pa.string()),  # what this row says
        ("contradicted_by", pa.string()),  # what the file is, or what rows with the same bytes say
    ]
)
"""`evidence/conflicts.parquet` of collect: a row for each statement that something contradicts."""

CHARACTERS = 300
"""Of `stated` and `contradicted_by` that are stored."""
OTHERS = 5
"""Of the other statements on the same bytes that are told; stock pictures have thousands."""

_FACTS = {
    "width": "width",
    "original_width": "width",
    "height": "height",
    "original_height": "height",
    "sha256": "sha256",
    "format": "format",
}
"""Name of a passed-through column, in whatever case -> what it tells of the file."""
_FORMATS = dict(
    [(name, name) for name in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heif", "jxl", "svg")],
    **{"jpg": "jpeg", "jpe": "jpeg", "pjpeg": "jpeg", "tif": "tiff", "heic": "heif", "svg+xml": "svg"},
)
"""How formats are called -> how `record.IMAGES` calls them; other words tell nothing."""

_COLUMNS = f"""
WITH candidates AS (
    SELECT uid, columns, width, height, format, sha256, list_contains(repairs, 'oriented') AS turned
    FROM images WHERE regexp_matches(columns, '"({"|".join(_FACTS)})":', 'i') AND json_valid(columns)
), named AS (
    SELECT *, unnest(json_keys(columns)) AS name FROM candidates
), cells AS (
    SELECT named.*, fact, trim(json_extract_string(columns, '$.' || named.name)) AS stated,
        CASE fact WHEN 'width' THEN width ELSE height END AS side,
        CASE fact WHEN 'width' THEN height ELSE width END AS other_side
    FROM named JOIN facts ON facts.name = lower(named.name)
), judged AS (
    SELECT uid, cells.name, stated, fact,
        CASE fact WHEN 'sha256' THEN sha256 WHEN 'format' THEN format ELSE side::VARCHAR END AS actual,
        CASE
            WHEN fact = 'sha256' AND stated SIMILAR TO '[0-9a-fA-F]{{64}}' THEN lower(stated) = sha256
            WHEN fact = 'format' THEN called = format
            WHEN fact IN ('width', 'height') AND try_cast(stated AS DOUBLE) > 0
                THEN try_cast(stated AS DOUBLE) IN (side, CASE WHEN turned THEN other_side ELSE side END)
        END AS agrees
    FROM cells LEFT JOIN formats ON formats.name = regexp_replace(lower(stated), '^(image/|[.])', '')
)
SELECT uid, 'column' AS kind, name AS subject, left(stated, {CHARACTERS}) AS stated, actual AS contradicted_by
FROM judged WHERE agrees IS NOT NULL
QUALIFY NOT bool_or(agrees) OVER (PARTITION BY uid, fact)
"""

_COPIES = f"""
WITH statements AS (
    SELECT sha256, uid, 'captions' AS kind, list_transform(captions, lambda c: trim(c.text)) AS texts
    FROM images WHERE len(captions) > 0 AND sha256 IN (SELECT sha256 FROM copied)
    UNION ALL
    SELECT sha256, uid, 'licence', [trim(licence)] FROM images
    WHERE trim(licence) <> '' AND sha256 IN (SELECT sha256 FROM copied)
), shortened AS (
    SELECT sha256, uid, kind, left(array_to_string(texts, ' | '), {CHARACTERS}) AS stated,
        md5(list_sort(list_distinct(list_transform(texts, lambda t: lower(t))))::VARCHAR) AS same
    FROM statements
), different AS (
    SELECT sha256, kind, list({{'same': same, 'stated': stated}} ORDER BY stated, same)[:{OTHERS + 1}]
        AS all_stated
    FROM (SELECT sha256, kind, same, min(stated) AS stated FROM shortened GROUP BY sha256, kind, same)
    GROUP BY sha256, kind HAVING count(*) > 1
)
SELECT uid, kind, sha256 AS subject, stated, left(array_to_string(list_transform(
    list_filter(all_stated, lambda other: other.same <> same)[:{OTHERS}], lambda other: other.stated
), ' / '), {CHARACTERS}) AS contradicted_by
FROM shortened JOIN different USING (sha256, kind)
"""


def find_conflicts(*images: Path) -> Any:
    """What is contradicted, a pa.Table of `CONFLICTS` sorted by uid.

    * "column": a passed-through column called width, height, sha256 or format (in any case; original_width
      and original_height too) tells of another file. What is no size, no hash or no format's name tells
      nothing. Sizes may be those before EXIF orientation, and where columns tell a size twice (before and
      after img2dataset's resizing, say) one that agrees is enough. Columns called md5 are not checked: that
      would read all bytes again.
    * "captions": the same bytes have other captions elsewhere, compared as sets and without regard to case.
    * "licence": the same bytes have another licence elsewhere.

    Args:
        images: files of a table of record.IMAGES.
    """
    with views({"images": f"SELECT * FROM {parquet(*images)}"}) as db:
        db.execute("CREATE TABLE copied AS SELECT sha256 FROM images GROUP BY sha256 HAVING count(*) > 1")
        for name, column, words in (("facts", "fact", _FACTS), ("formats", "called", _FORMATS)):
            values = ", ".join(f"('{word}', '{meaning}')" for word, meaning in words.items())
            db.execute(f"CREATE TABLE {name} AS FROM (VALUES {values}) t(name, {column})")
        db.execute(f"CREATE TABLE conflicts AS {_COLUMNS}")
        db.execute(f"INSERT INTO conflicts {_COPIES}")
        return db.sql("SELECT * FROM conflicts ORDER BY uid, kind, subject").to_arrow_table().cast(CONFLICTS)
