"""duplicates: what dedup makes. Its index has a small picture of each, and the pixels of its foreground."""

from collections.abc import Iterator

from stages.artifacts.artifact import Artifact
from stages.kind import Kind, Row, RowTrace, TakenDown, rows_in
from stages.takedown.spans import ArrayFile, Span, array_row


def _pixels(duplicates: Artifact, pictures: TakenDown) -> Iterator[Span]:
    for name in duplicates.names("index/"):
        if name.endswith(".parquet") and pictures.uids:
            yield from _small_pictures(duplicates, name.removesuffix(".parquet"), pictures)


def _small_pictures(duplicates: Artifact, stem: str, pictures: TakenDown) -> Iterator[Span]:
    """Rows of the small pictures, and of the crops beside them, which lie one behind the other."""
    crops = ArrayFile.read(duplicates.path(f"{stem}.crops.npy"))
    begin = crops.start
    table = duplicates.arrow_table(stem, ["uid", "crop_width", "crop_height"]).to_pylist()
    for number, row in enumerate(table):
        length = 3 * row["crop_width"] * row["crop_height"] * crops.dtype.itemsize
        if row["uid"] in pictures.uids:
            yield array_row(duplicates, f"{stem}.npy", number)
            yield Span(f"{stem}.crops.npy", begin, length)
        begin += length


def _label(row: Row) -> str:
    return "compared: kept" if row["level"] == "" else f"compared: {row['level']} copy of {row['cluster']}"


DUPLICATES = Kind(
    name="duplicates",
    pixels=_pixels,
    purged="its small picture and its crop become zeros",
    count=rows_in("duplicates"),
    trace=(RowTrace("duplicates", _label, ("cluster", "level", "distance", "multiplicity")),),
)
