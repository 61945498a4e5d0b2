"""The index of a dataset: where each picture's bytes lie in the tars, and what its captions are.

A Parquet table whose key-value metadata name its version, `VERSION`. Columns that every index has are in
`COLUMNS`; captions are lists of structs with at least a field `text`.
"""

import itertools
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sdmodel.data.local_ranges import LocalRanges, ReadRange

VERSION = 2
"""Of the index: other versions are refused."""
KEY = b"sdflow.index_version"
"""Of the metadata entry that names it."""
COLUMNS = ["uid", "file", "offset", "length", "checksum", "split", "captions"]
SIZES = ["height", "width"]


@dataclass(frozen=True)
class Index:
    """The rows of one split, in the index's order."""

    uids: list[str]
    files: list[Path | str]
    """The tar that holds the picture: its path, or the name by which `read_range` knows it."""
    offsets: np.ndarray
    """(N,) int64: first byte of the picture's data in its tar."""
    lengths: np.ndarray
    """(N,) int64: bytes of the picture."""
    checksums: np.ndarray
    """(N,) uint32: CRC-32 of the picture's bytes, as `zlib.crc32`."""
    captions: list[list[str]]
    """One or more for each picture."""
    sizes: np.ndarray | None = None
    """(N, 2) int64: height and width of the picture, pixels; None where the table has no such columns."""
    multiplicity: np.ndarray | None = None
    """(N,) float64: how often the picture occurred in the sources, copies merged into it; None where the
    table has no such column."""
    weight: np.ndarray | None = None
    """(N,) float64: the column named by `weight` of `read_index`; None where none was."""
    columns: Mapping[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    """The columns named by `columns` of `read_index`, (N,) each as Python has them, None where a row has no
    value."""
    read_range: ReadRange = field(default_factory=LocalRanges, compare=False, repr=False)
    """Reads from a tar."""

    def __len__(self) -> int:
        return len(self.uids)

    def bytes_of(self, row: int) -> bytes:
        """The encoded picture of a row.

        ValueError: the tar ends before it, or holds other bytes than the index says."""
        offset, length = int(self.offsets[row]), int(self.lengths[row])
        data = self.read_range(str(self.files[row]), offset, length)
        if len(data) != length:
            raise ValueError(
                f"{self.files[row]}: picture {self.uids[row]} should take {length} bytes from {offset}, it "
                f"ends after {len(data)}; tar and index don't belong together, or the tar is damaged"
            )
        check_bytes(data, int(self.checksums[row]), self.uids[row], f"{self.files[row]}", offset)
        return data


def check_bytes(data: bytes, checksum: int, uid: str, tar: str, offset: int) -> None:
    """ValueError: a picture's bytes, read from `offset` of a tar, have another CRC-32 than its index says."""
    if (computed := zlib.crc32(data)) == checksum:
        return
    if data.count(0) == len(data):  # purging writes zeros
        raise ValueError(
            f"{tar}: picture {uid} at offset {offset} was purged after a take-down; filter and shard again, "
            "and use the new dataset"
        )
    raise ValueError(
        f"{tar}: picture {uid} at offset {offset} should have the checksum {checksum:08x} and has "
        f"{computed:08x}: the tar is damaged, or not the index's; `sdflow verify` names what is: restore it "
        "from a copy, or make the dataset again in another store"
    )


def read_index(
    path: Path,
    tars: Mapping[str, Path | str],
    split: str,
    *,
    weight: str = "",
    columns: Sequence[str] = (),
    read_range: ReadRange | None = None,
) -> Index:
    """The rows of `split` in the index table at `path`.

    Args:
        path: of a Parquet table with COLUMNS; height, width and multiplicity are read where it has them.
        tars: the table's file names to paths, or to the names by which `read_range` knows them.
        split: of the rows to keep.
        weight: a column of numbers, besides; empty: none.
        columns: others, of any kind, that the table has.
        read_range: reads from a tar that is not on this machine; None maps local files.

    ValueError: it is of another version, a column is missing, the split has no rows, or a tar is not in
    `tars`."""
    schema = pq.read_schema(path)
    check_version(schema, str(path))
    available = schema.names
    if missing := [column for column in COLUMNS if column not in available]:
        raise ValueError(
            f"{path}: an index needs the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}"
        )
    if weight and weight not in available:
        raise ValueError(
            f"{path}: no column {weight!r} to weight by; there are {', '.join(sorted(available))}"
        )
    if missing := [column for column in columns if column not in available]:
        raise ValueError(f"{path}: no columns {missing}; there are {', '.join(sorted(available))}")
    usual = [*COLUMNS, *(column for column in (*SIZES, "multiplicity") if column in available)]
    table = pq.read_table(path, columns=sorted({*usual, *columns, weight} - {""}))
    splits = table.column("split").to_pylist()
    table = table.filter(pa.array([name == split for name in splits], pa.bool_()))
    if table.num_rows == 0:
        raise ValueError(f"{path}: no rows in split {split!r}; rows in each split: {dict(Counter(splits))}")
    files = table.column("file").to_pylist()
    if missing := sorted(set(files) - set(tars)):
        raise ValueError(f"{path}: names tars that were not given: {missing[:5]}; given: {sorted(tars)[:5]}")
    return Index(
        uids=table.column("uid").to_pylist(),
        files=[tars[file] for file in files],
        offsets=table.column("offset").to_numpy(),
        lengths=table.column("length").to_numpy(),
        checksums=table.column("checksum").to_numpy(),
        captions=caption_texts(table.column("captions")),
        sizes=np.stack([_numbers(table, side).astype(np.int64) for side in SIZES], axis=1)
        if set(SIZES) <= set(available)
        else None,
        multiplicity=_numbers(table, "multiplicity") if "multiplicity" in available else None,
        weight=_numbers(table, weight) if weight else None,
        columns={name: table.column(name).to_pylist() for name in columns},
        read_range=read_range or LocalRanges(),
    )


def check_version(schema: Any, name: str) -> None:
    """ValueError: an Arrow schema is not that of an index of this version; `name` is what to call it."""
    version = (schema.metadata or {}).get(KEY, b"1").decode(errors="replace")
    if version != str(VERSION):
        raise ValueError(
            f"{name}: an index of version {version[:20]}, and this program reads version {VERSION}; make the "
            "dataset again with it (`sdflow run`, or `sdflow stage shard`)"
        )


def with_version(table: pa.Table) -> pa.Table:
    """The same table as an index of this version, for whoever writes one by hand."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: str(VERSION)})


def caption_texts(captions: Any) -> list[list[str]]:
    """Of a column of an index, or an array, (N,) of lists of structs with a field `text`: the texts alone."""
    lists = captions.combine_chunks() if isinstance(captions, pa.ChunkedArray) else captions
    words: list[str] = lists.flatten().field("text").to_pylist()
    bounds = [0, *itertools.accumulate(lists.value_lengths().fill_null(0).to_pylist())]
    return [words[start:end] for start, end in itertools.pairwise(bounds)]


def _numbers(table: pa.Table, column: str) -> np.ndarray:
    """(N,) float64. ValueError: it holds something else, or nothing in some row."""
    values = table.column(column)
    if values.null_count or not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise ValueError(
            f"column {column!r} of the index has {values.null_count} empty rows of {values.type}; numbers in "
            "every row are needed"
        )
    return values.to_numpy().astype(np.float64)
