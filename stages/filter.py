"""filter: which pictures are trained on. Thresholds on columns; no picture is read, cheap to change."""

from typing import Any

import duckdb
import pyarrow.parquet as pq

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.config.run import FilterConfig
from stages.fingerprint import JSON
from stages.output import Output
from stages.reasons import Reason
from stages.record import REJECTS, SELECTION
from stages.stage import Stats, stage
from stages.takedown.records import HOST, tables

# By any of its names; a collection that was under way when the record was made may hold it still.
_FORGOTTEN = f"""
CREATE TABLE forgotten AS
WITH held AS (SELECT uid, sha256, location, {HOST} AS host FROM images)
SELECT uid, min(number) AS takedown FROM (
    SELECT uid, number FROM held JOIN takedowns ON kind = 'uid' AND value = uid
    UNION ALL SELECT uid, number FROM held JOIN takedowns ON kind = 'sha256' AND value = sha256
    UNION ALL SELECT uid, number FROM held JOIN takedowns ON kind = 'url' AND value = location
    UNION ALL SELECT uid, number FROM held JOIN takedowns
    ON kind = 'host' AND (value = host OR ends_with(host, '.' || value))
) GROUP BY uid
"""

# Captions are judged one by one: a row keeps those that pass; where none does, the first one gives the
# reason, unless captions are optional. What has none is not judged by its similarity to one.
_JUDGED = f"""
CREATE TABLE judged AS
WITH joined AS (
    SELECT i.uid, i.location, i.width, i.height, i.length,
        d.cluster, d.level, d.distance, d.multiplicity, s.similarity, f.takedown,
        list_filter(i.captions, lambda c: words(c.text) > 0) AS said,
        list_filter(i.captions, lambda c: words(c.text) BETWEEN greatest(1, $min_words) AND $max_words)
            AS captions
    FROM images i JOIN duplicates d USING (uid) LEFT JOIN scores s USING (uid)
    LEFT JOIN forgotten f USING (uid)
)
SELECT *,
    CASE
        WHEN takedown IS NOT NULL THEN '{Reason.TAKEN_DOWN}'
        WHEN len(said) = 0 AND NOT $optional THEN '{Reason.NO_CAPTION}'
        WHEN len(captions) = 0 AND NOT $optional AND words(said[1].text) < $min_words
            THEN '{Reason.CAPTION_TOO_SHORT}'
        WHEN len(captions) = 0 AND NOT $optional THEN '{Reason.CAPTION_TOO_LONG}'
        WHEN least(width, height) < $min_side THEN '{Reason.IMAGE_TOO_SMALL}'
        WHEN greatest(width, height) > $max_aspect * least(width, height) THEN '{Reason.ASPECT_TOO_WIDE}'
        WHEN $min_similarity IS NOT NULL AND len(captions) > 0
            AND NOT coalesce(similarity >= $min_similarity, false)
            THEN '{Reason.LOW_SIMILARITY}'
    END AS failed
FROM joined
"""

_RANKED = """
CREATE TABLE ranked AS
SELECT *,
    ranks AND $top_fraction IS NOT NULL
        AND row_number() OVER (PARTITION BY ranks ORDER BY similarity DESC NULLS LAST, uid)
            > ceil(round($top_fraction * count(*) OVER (PARTITION BY ranks), 6)) AS outranked
FROM (SELECT *, failed IS NULL AND len(captions) > 0 AS ranks FROM judged)
"""

# Of each cluster the best row that is still here stands for it: one with a caption, then in dedup's order:
# pixels, bytes, uid.
_DECIDED = f"""
CREATE TABLE decided AS
WITH passed AS (
    SELECT uid, first_value(uid) OVER (
        PARTITION BY cluster ORDER BY len(captions) = 0, width::BIGINT * height DESC, length DESC, uid
    ) AS stands
    FROM ranked WHERE failed IS NULL AND NOT outranked
)
SELECT r.*, coalesce(p.stands, '') AS stands,
    CASE
        WHEN failed IS NOT NULL THEN failed
        WHEN outranked THEN '{Reason.LOW_SIMILARITY}'
        WHEN NOT $drop_duplicates OR p.stands = r.uid THEN NULL
        WHEN level = 'near' OR (SELECT k.level FROM ranked k WHERE k.uid = p.stands) = 'near'
            THEN '{Reason.NEAR_DUPLICATE}'
        ELSE '{Reason.EXACT_DUPLICATE}'
    END AS reason
FROM ranked r LEFT JOIN passed p USING (uid)
"""

_SELECTION = """
SELECT uid, captions, multiplicity, cluster, similarity FROM decided WHERE reason IS NULL ORDER BY uid
"""

# Captions that fell out of rows that stay.
_DROPPED = "SELECT coalesce(sum(len(said) - len(captions)), 0) FROM decided WHERE reason IS NULL"

_WITHOUT = "SELECT count(*) FROM decided WHERE reason IS NULL AND len(captions) = 0"

_REJECTS = f"""
SELECT uid, reason,
    CASE reason
        WHEN '{Reason.TAKEN_DOWN}' THEN 'take-down ' || takedown
        WHEN '{Reason.NO_CAPTION}' THEN ''
        WHEN '{Reason.CAPTION_TOO_SHORT}' THEN 'min_words=' || $min_words
        WHEN '{Reason.CAPTION_TOO_LONG}' THEN 'max_words=' || $max_words
        WHEN '{Reason.IMAGE_TOO_SMALL}' THEN 'min_side=' || $min_side
        WHEN '{Reason.ASPECT_TOO_WIDE}' THEN 'max_aspect=' || $max_aspect
        WHEN '{Reason.LOW_SIMILARITY}' THEN
            CASE WHEN outranked THEN 'top_fraction=' || $top_fraction
            ELSE 'min_similarity=' || $min_similarity END
        ELSE 'drop_duplicates'
    END AS rule,
    CASE
        WHEN reason IN ('{Reason.CAPTION_TOO_SHORT}', '{Reason.CAPTION_TOO_LONG}')
            THEN words(said[1].text) || ' words'
        WHEN reason IN ('{Reason.IMAGE_TOO_SMALL}', '{Reason.ASPECT_TOO_WIDE}') THEN width || ' x ' || height
        WHEN reason = '{Reason.LOW_SIMILARITY}' THEN coalesce(round(similarity, 4)::VARCHAR, 'not scored')
        WHEN reason IN ('{Reason.TAKEN_DOWN}', '{Reason.NO_CAPTION}') THEN ''
        ELSE 'distance ' || round(distance, 4) || ' to ' || cluster
    END AS detail,
    CASE WHEN reason IN ('{Reason.EXACT_DUPLICATE}', '{Reason.NEAR_DUPLICATE}') THEN stands ELSE '' END
        AS merged_into,
    location, '' AS row
FROM decided WHERE reason IS NOT NULL ORDER BY uid
"""


@stage(version=2, kind="selection")
def filter_(
    images: Artifact,
    duplicates: Artifact,
    scores: Artifact,
    takedowns: Snapshot | None,
    config: FilterConfig,
    out: Output,
) -> Stats:
    """Select the pictures to train on.

    Rules are asked in a fixed order: take-downs, captions, side, aspect, similarity threshold, top fraction
    of what passed so far, copies. A row's first failing rule is its reason. Copies come last, so that a
    cluster whose best picture fails another rule (a swapped caption, say) is stood for by its best remaining
    one, not lost. Where captions are optional, rows without one are asked all but what is asked of captions,
    and of copies one with a caption is kept.

    Args:
        images: of collect.
        duplicates: of dedup.
        scores: of score; without rows where the run has no CLIP.
        takedowns: what must not be used, from `takedown.takedowns`; None where there is nothing.
        config: thresholds.
        out: gets `selection.parquet` (record.SELECTION) and `rejects.parquet` (record.REJECTS).

    Raises:
        ValueError: similarity is asked for and the run has none, or a threshold is out of range.
    """
    _check(config, scores)
    names = (
        "min_words",
        "max_words",
        "min_side",
        "max_aspect",
        "min_similarity",
        "top_fraction",
        "drop_duplicates",
    )
    values = {name: getattr(config, name) for name in names}
    rules = {**values, "optional": config.captions == "optional"}
    with duckdb.connect(config={"temp_directory": str(out.folder / "duckdb")}) as db:
        db.sql("CREATE MACRO words(text) AS len(regexp_extract_all(coalesce(text, ''), '\\S+'))")
        for name, artifact in (("images", images), ("duplicates", duplicates), ("scores", scores)):
            artifact.scan(db, name)
        db.register("takedowns", tables(takedowns))
        for statement in (_FORGOTTEN, _JUDGED, _RANKED, _DECIDED):
            db.execute(statement, {name: value for name, value in rules.items() if f"${name}" in statement})
        selection: Any = db.sql(_SELECTION).to_arrow_table()
        rejects: Any = db.sql(_REJECTS, params={name: values[name] for name in names[:-1]}).to_arrow_table()
        (dropped,), (without,) = (db.execute(query).fetchall()[0] for query in (_DROPPED, _WITHOUT))
        counts = db.execute(
            "SELECT reason, count(*) FROM decided WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason"
        ).fetchall()
    pq.write_table(selection.cast(SELECTION), out.write("selection.parquet"), compression="zstd")
    pq.write_table(rejects.cast(REJECTS), out.write("rejects.parquet"), compression="zstd")
    funnel = Funnel(images.funnel.rows_out, selection.num_rows, dict(counts))
    statistics: dict[str, JSON] = {"clip": bool(scores.statistics["clip"]), "captions_dropped": int(dropped)}
    return Stats(funnel, statistics | ({"without_caption": int(without)} if without else {}))


def _check(config: FilterConfig, scores: Artifact) -> None:
    fraction = config.top_fraction
    if fraction is not None and not 0 < fraction <= 1:
        raise ValueError(f"filter.top_fraction={fraction} must be above 0 and at most 1")
    if config.min_words > config.max_words:
        raise ValueError(f"filter.min_words={config.min_words} is above filter.max_words={config.max_words}")
    if config.max_aspect < 1:
        raise ValueError(
            f"filter.max_aspect={config.max_aspect} must be at least 1: longer side over shorter side"
        )
    if not scores.statistics["clip"] and (config.min_similarity is not None or fraction is not None):
        raise ValueError(
            f"filter.min_similarity={config.min_similarity} and filter.top_fraction={fraction} need scores, "
            "and this run has no CLIP; set score.model, or set both to null"
        )
