"""filter: which pictures are trained on. Thresholds on columns; no picture is read, so they are cheap to
change."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifact import Artifact, Funnel
from stages.config import FilterConfig
from stages.output import Output
from stages.reasons import Reason
from stages.record import REJECTS, SELECTION
from stages.stage import Stats, stage


@stage(version=1, kind="selection")
def filter_(
    images: Artifact, duplicates: Artifact, scores: Artifact, config: FilterConfig, out: Output
) -> Stats:
    """Select the pictures to train on.

    Rules are asked in a fixed order: captions, sides, aspect, similarity, copies. A row's first failing rule
    is its
    reason. Captions are judged one by one; a row whose every caption fails goes with the first caption's
    reason.
    Copies come last, so that a cluster whose best picture fails another rule (a swapped caption, say) is
    stood for by
    its best remaining one instead of being lost.

    Args:
        images: of collect.
        duplicates: of dedup.
        scores: of score; without rows where the run has no CLIP.
        config: thresholds.
        out: gets `selection.parquet` (record.SELECTION) and `rejects.parquet` (record.REJECTS).

    Raises:
        ValueError: similarity is asked for and the run has none, or a threshold is out of range.
    """
    _check(config, scores)
    rows = _join(images, duplicates, scores)
    rejects: list[dict[str, str]] = []

    def drop(failing: "pd.Series[bool]", reason: Reason, rule: str, detail: "pd.Series[Any]") -> None:
        nonlocal rows
        for position in np.flatnonzero(failing.to_numpy()):
            rejects.append(_reject(rows.iloc[position], reason, rule, str(detail.iloc[position])))
        rows = rows.loc[~failing].reset_index(drop=True)

    # Captions: each on its own.
    judged = [_caption_rule([str(one["text"]) for one in captions], config) for captions in rows["captions"]]
    rows["captions"] = [
        [one for one, passed in zip(captions, verdict[0], strict=True) if passed]
        for captions, verdict in zip(rows["captions"], judged, strict=True)
    ]
    reasons = pd.Series([verdict[1] for verdict in judged], dtype=object)
    details = pd.Series([verdict[2] for verdict in judged], dtype=object)
    for reason, rule in (
        (Reason.NO_CAPTION, ""),
        (Reason.CAPTION_TOO_SHORT, f"min_words={config.min_words}"),
        (Reason.CAPTION_TOO_LONG, f"max_words={config.max_words}"),
    ):
        failing = reasons == reason
        drop(failing, reason, rule, details)
        reasons, details = reasons[~failing].reset_index(drop=True), details[~failing].reset_index(drop=True)

    # Picture.
    side = rows[["width", "height"]].min(axis=1)
    drop(side < config.min_side, Reason.IMAGE_TOO_SMALL, f"min_side={config.min_side}", side)
    aspect = rows[["width", "height"]].max(axis=1) / rows[["width", "height"]].min(axis=1)
    drop(
        aspect > config.max_aspect, Reason.ASPECT_TOO_WIDE, f"max_aspect={config.max_aspect}", aspect.round(3)
    )

    # Similarity: the threshold first, then the top fraction of what passed everything so far.
    if config.min_similarity is not None:
        low = ~(rows["similarity"] >= config.min_similarity)
        drop(
            low, Reason.LOW_SIMILARITY, f"min_similarity={config.min_similarity}", rows["similarity"].round(4)
        )
    if config.top_fraction is not None:
        kept = int(np.ceil(config.top_fraction * len(rows)))
        ranks = rows.sort_values(["similarity", "uid"], ascending=[False, True]).index[:kept]
        low = pd.Series(~rows.index.isin(ranks), index=rows.index)
        drop(low, Reason.LOW_SIMILARITY, f"top_fraction={config.top_fraction}", rows["similarity"].round(4))

    # Copies: one of each cluster, the one kept by dedup where it is still here, else the largest.
    if config.drop_duplicates:
        rows["is_leader"] = rows["uid"] == rows["cluster"]
        rows["pixels"] = rows["width"].astype("int64") * rows["height"]
        best = rows.sort_values(["is_leader", "pixels", "uid"], ascending=[False, False, True])
        stands = best.groupby("cluster", sort=False)["uid"].first()
        rows["stands"] = rows["cluster"].map(stands)
        copies = rows["uid"] != rows["stands"]
        for row in rows.loc[copies].to_dict("records"):
            reason = Reason.EXACT_DUPLICATE if row["level"] == "exact" else Reason.NEAR_DUPLICATE
            detail = f"distance {row['distance']:.4f} to {row['cluster']}"
            rejects.append(_reject(row, reason, "drop_duplicates", detail, row["stands"]))
        rows = rows.loc[~copies].reset_index(drop=True)

    _write(rows.sort_values(["uid"]), SELECTION, out, "selection")
    _write(pd.DataFrame(rejects, columns=REJECTS.names).sort_values(["uid"]), REJECTS, out, "rejects")
    counts = pd.Series([reject["reason"] for reject in rejects], dtype=object).value_counts().sort_index()
    funnel = Funnel(len(rows) + len(rejects), len(rows), {str(name): int(n) for name, n in counts.items()})
    clip = bool(scores.statistics["clip"])
    return Stats(funnel, {"clip": clip, "similarity_mean": _mean(rows["similarity"]) if clip else None})


def _check(config: FilterConfig, scores: Artifact) -> None:
    fraction = config.top_fraction
    if fraction is not None and not 0 < fraction <= 1:
        raise ValueError(f"filter.top_fraction={fraction} must be above 0 and at most 1")
    if config.min_words > config.max_words:
        raise ValueError(f"filter.min_words={config.min_words} is above filter.max_words={config.max_words}")
    if not scores.statistics["clip"] and (config.min_similarity is not None or fraction is not None):
        raise ValueError(
            f"filter.min_similarity={config.min_similarity} and filter.top_fraction={fraction} need "
            f"scores, and this "
            "run has no CLIP; set score.model, or set both to null"
        )


def _join(images: Artifact, duplicates: Artifact, scores: Artifact) -> pd.DataFrame:
    """A row for each picture, by uid; similarity is NaN where there is none."""
    held = images.table("images")[["uid", "location", "captions", "width", "height"]]
    copies = duplicates.table("duplicates")[["uid", "cluster", "level", "distance", "multiplicity"]]
    rows = held.merge(copies, on="uid", validate="one_to_one")
    assert len(rows) == len(held), "dedup has not seen every picture"
    rows = rows.merge(
        scores.table("scores")[["uid", "similarity"]], on="uid", how="left", validate="one_to_one"
    )
    return rows.sort_values(["uid"], ignore_index=True)


def _caption_rule(captions: list[str], config: FilterConfig) -> tuple[list[bool], Reason | None, str]:
    """Which captions pass; where none does, the reason and what was found."""
    words = [len(text.split()) for text in captions]
    passed = [config.min_words <= count <= config.max_words and count > 0 for count in words]
    if any(passed):
        return passed, None, ""
    if not any(words):
        return passed, Reason.NO_CAPTION, ""
    first = next(count for count in words if count)
    reason = Reason.CAPTION_TOO_SHORT if first < config.min_words else Reason.CAPTION_TOO_LONG
    return passed, reason, f"{first} words"


def _reject(row: Any, reason: Reason, rule: str, detail: str, into: str = "") -> dict[str, str]:
    return {
        "uid": row["uid"],
        "reason": reason,
        "rule": rule,
        "detail": detail,
        "merged_into": into,
        "location": row["location"],
        "row": "",
    }


def _write(rows: pd.DataFrame, schema: Any, out: Output, name: str) -> None:
    table = pa.Table.from_pandas(rows[schema.names], schema, preserve_index=False)
    pq.write_table(table, out.write(f"{name}.parquet"), compression="zstd")


def _mean(values: "pd.Series[float]") -> float | None:
    return round(float(values.mean()), 4) if len(values) else None
