"""images: what collect makes. TakenDown as they came lie in tars, by the offsets of its table."""

from collections.abc import Iterator, Mapping
from typing import Any

from stages.artifacts.artifact import Artifact
from stages.kind import Kind, Lookup, PictureTable, Row, RowTrace, TakenDown, rows_in
from stages.kinds.rejects import REJECTS, last_fetch
from stages.takedown.spans import Span


def _pixels(images: Artifact, pictures: TakenDown) -> Iterator[Span]:
    for row in pictures.rows(images, "images", ["file", "offset", "length"], by="sha256"):
        yield Span(row["file"], row["offset"], row["length"])


def _facts(lookup: Lookup, row: Row) -> Mapping[str, Any]:
    return {
        "source": row["source"],
        "sha256": row["sha256"],
        "format": row["format"],
        "size": f"{row['width']} x {row['height']}",
        "captions": [caption["text"] for caption in row["captions"]],
        "licence": row["licence"],
        "repairs": row["repairs"],
        "bytes": f"{row['file']} from {row['offset']}, {row['length']} bytes",
        **last_fetch(lookup, row["location"]),
    }


IMAGES = Kind(
    name="images",
    pixels=_pixels,
    purged="the picture's member of its tar becomes zeros",
    count=rows_in("images"),
    shown=PictureTable("images", "sha256"),
    supersedes=("previous",),
    trace=(REJECTS, RowTrace("images", "collected", facts=_facts)),
)
