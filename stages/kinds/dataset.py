"""dataset: what shard makes. A picture lies in a tar, its captions and facts beside it."""

from collections.abc import Iterator

from stages.artifacts.artifact import Artifact
from stages.kind import Kind, PictureTable, RowTrace, TakenDown, rows_in
from stages.kinds.rejects import REJECTS
from stages.takedown.spans import Span, tar_members


def _pixels(dataset: Artifact, pictures: TakenDown) -> Iterator[Span]:
    for file in sorted({row["file"] for row in pictures.rows(dataset, "index", ["file"])}):
        yield from tar_members(dataset, file, pictures.uids)


DATASET = Kind(
    name="dataset",
    pixels=_pixels,
    purged="its members of its tar become zeros: picture, captions, facts",
    count=rows_in("index"),
    shown=PictureTable("index", "checksum"),
    trace=(REJECTS, RowTrace("index", "packed", ("split", "file", "width", "height"))),
    splits=True,
)
