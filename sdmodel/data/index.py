"""The index of a dataset: where each picture's bytes lie in the tars, and what its captions are."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ["uid", "file", "offset", "length", "split", "captions"]


@dataclass(frozen=True)
class Index:
    """The rows of one split, in the index's order."""

    uids: list[str]
    files: list[Path]
    """Local path of the tar that holds the picture."""
    offsets: np.ndarray
    """(N,) int64: first byte of the picture's data in its tar."""
    lengths: np.ndarray
    """(N,) int64: bytes of the picture."""
    captions: list[list[str]]
    """One or more for each picture."""

    def __len__(self) -> int:
        return len(self.uids)

    def bytes_of(self, row: int) -> bytes:
        """The encoded picture of a row. ValueError: the tar ends before it."""
        offset, length = int(self.offsets[row]), int(self.lengths[row])
        with self.files[row].open("rb") as tar:
            tar.seek(offset)
            data = tar.read(length)
        if len(data) != length:
            raise ValueError(
                f"{self.files[row]}: picture {self.uids[row]} should take {length} bytes from {offset}, it "
                f"ends after {len(data)}; tar and index don't belong together, or the tar is damaged"
            )
        return data


def read_index(path: Path, tars: Mapping[str, Path], split: str) -> Index:
    """The rows of `split` in the index table at `path`; `tars` maps the table's file names to local files.

    ValueError: a column is missing, the split has no rows, or a tar is not in `tars`."""
    found = pq.read_schema(path).names
    if missing := [column for column in COLUMNS if column not in found]:
        raise ValueError(
            f"{path}: an index needs the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}"
        )
    table = pq.read_table(path, columns=COLUMNS)
    splits = table.column("split").to_pylist()
    table = table.filter(pa.array([held == split for held in splits], pa.bool_()))
    if table.num_rows == 0:
        raise ValueError(f"{path}: no rows in split {split!r}; rows in each split: {dict(Counter(splits))}")
    files = table.column("file").to_pylist()
    if missing := sorted(set(files) - set(tars)):
        raise ValueError(f"{path}: names tars that were not given: {missing[:5]}; given: {sorted(tars)[:5]}")
    return Index(
        uids=table.column("uid").to_pylist(),
        files=[Path(tars[file]) for file in files],
        offsets=table.column("offset").to_numpy(),
        lengths=table.column("length").to_numpy(),
        captions=table.column("captions").to_pylist(),
    )
