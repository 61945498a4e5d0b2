"""filter: which pictures are trained on. Thresholds on columns; no picture is read, cheap to change."""

import re
from typing import Any

import duckdb
import pyarrow.parquet as pq

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.config.run import FilterConfig
from stages.filter.rules import PHASES, ROWS, verdict
from stages.fingerprint import JSON
from stages.output import Output
from stages.record import REJECTS, SELECTION
from stages.stage import Request, Stats, StepSettings, stage
from stages.takedown.matches import host_of, taken_down
from stages.takedown.records import tables, takedowns

# By any of its names; a collection that was under way when the record was made may hold it still.
_FORGOTTEN = f"""
CREATE TABLE forgotten AS
WITH collected AS (SELECT uid, sha256, location, {host_of()} AS host FROM images)
{taken_down("collected")}
"""

_SELECTION = "SELECT uid, captions, multiplicity, cluster, similarity FROM passed ORDER BY uid"

# Captions that fell out of rows that stay, and rows that stay without one.
_CAPTIONS = """
SELECT coalesce(sum(len(written) - len(captions)), 0), count(*) FILTER (NOT captioned) FROM passed
"""

_REJECTS = "SELECT uid, reason, rule, detail, merged_into, location, '' AS row FROM rejects ORDER BY uid"


def _inputs(request: Request[FilterConfig]) -> list[Artifact | Snapshot | None]:
    return [*request.read, takedowns(request.store)]


@stage(version=2, kind="selection", step=StepSettings(inputs=_inputs))
def filter_(
    images: Artifact,
    duplicates: Artifact,
    scores: Artifact,
    takedowns: Snapshot | None,
    config: FilterConfig,
    out: Output,
) -> Stats:
    """Select the pictures to train on.

    The rules of `stages.filter.rules` are applied in their order: take-downs, captions, side, aspect,
    similarity threshold, top fraction of what passed so far, copies. A row's first failing rule is its
    reason. A row that is kept without a caption is held to all rules but those on captions, and of copies
    one with a caption is kept.

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
    with duckdb.connect(config={"temp_directory": str(out.folder / "duckdb")}) as db:
        db.sql("CREATE MACRO words(text) AS len(regexp_extract_all(coalesce(text, ''), '\\S+'))")
        for name, artifact in (("images", images), ("duplicates", duplicates), ("scores", scores)):
            artifact.scan(db, name)
        db.register("takedowns", tables(takedowns))
        db.execute(_FORGOTTEN)
        _apply(db, config)
        selection: Any = db.sql(_SELECTION).to_arrow_table()
        rejects: Any = db.sql(_REJECTS).to_arrow_table()
        dropped, without = db.execute(_CAPTIONS).fetchall()[0]
        counts = db.execute("SELECT reason, count(*) FROM rejects GROUP BY reason ORDER BY reason").fetchall()
    pq.write_table(selection.cast(SELECTION), out.write("selection.parquet"), compression="zstd")
    pq.write_table(rejects.cast(REJECTS), out.write("rejects.parquet"), compression="zstd")
    funnel = Funnel(images.funnel.rows_out, selection.num_rows, dict(counts))
    statistics: dict[str, JSON] = {"clip": bool(scores.statistics["clip"]), "captions_dropped": int(dropped)}
    return Stats(funnel, statistics | ({"without_caption": int(without)} if without else {}))


def _apply(db: duckdb.DuckDBPyConnection, config: FilterConfig) -> None:
    """Make views `passed` and `rejects` of the rows: the rules of a phase see what passed those before."""
    rows = ROWS
    rejects: list[str] = []
    for number, rules in enumerate(PHASES):
        query = f"CREATE TABLE phase_{number} AS SELECT *, {verdict(rules, config)} AS verdict FROM ({rows})"
        db.execute(query, {name: getattr(config, name) for name in set(re.findall(r"\$(\w+)", query))})
        rows = f"SELECT * EXCLUDE verdict FROM phase_{number} WHERE verdict IS NULL"
        rejects.append(f"SELECT uid, location, unnest(verdict) FROM phase_{number} WHERE verdict IS NOT NULL")
    db.execute(f"CREATE VIEW passed AS {rows}")
    db.execute(f"CREATE VIEW rejects AS {' UNION ALL '.join(rejects)}")


def _check(config: FilterConfig, scores: Artifact) -> None:
    fraction = config.top_fraction
    if not scores.statistics["clip"] and (config.min_similarity is not None or fraction is not None):
        raise ValueError(
            f"filter.min_similarity={config.min_similarity} and filter.top_fraction={fraction} need scores, "
            "and this run has no CLIP; set score.model, or set both to null"
        )
