"""scores: what score makes. A picture's embedding shows much of it, and is a row of an array."""

from collections.abc import Iterator, Mapping

from stages.artifacts.artifact import Artifact
from stages.fingerprint import JSON
from stages.kind import Kind, RowTrace, TakenDown, VectorTable, rows_in
from stages.takedown.spans import Span, array_row


def _pixels(scores: Artifact, pictures: TakenDown) -> Iterator[Span]:
    for row in pictures.rows(scores, "scores", ["file", "index"]):
        yield array_row(scores, row["file"], row["index"])


def _settings(scores: Artifact) -> Mapping[str, JSON]:
    return {key: scores.statistics[key] for key in ("model", "pretrained") if scores.statistics.get(key)}


SCORES = Kind(
    name="scores",
    pixels=_pixels,
    purged="its embedding becomes zeros",
    count=rows_in("scores"),
    vectors=VectorTable("scores", "index"),
    trace=(RowTrace("scores", "scored", ("similarity", "caption")),),
    settings=_settings,
)
