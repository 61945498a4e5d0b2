"""Rows of a query in a Parquet file, so many to a row group: what parts are given to work on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.fingerprint import fingerprint_of


@dataclass(frozen=True)
class RowGroup:
    """A row group of a file: the rows of one part."""

    file: str
    group: int
    rows: int
    digest: str
    """Of what the part's result depends on, for its fingerprint."""

    def read(self) -> list[dict[str, Any]]:
        """The rows."""
        return pq.ParquetFile(self.file).read_row_group(self.group).to_pylist()


def write_row_groups(reader: Any, path: Path, rows: int, columns: Sequence[str]) -> list[RowGroup]:
    """Write a file of row groups.

    Args:
        reader: Arrow record batches, in order.
        path: of the file.
        rows: of each group; the last one may have fewer.
        columns: those that a group's digest depends on.
    """
    groups: list[RowGroup] = []
    waiting: list[Any] = []
    with pq.ParquetWriter(path, reader.schema) as writer:

        def write(table: Any) -> None:
            table = table.combine_chunks()
            writer.write_table(table, row_group_size=rows)
            digest = fingerprint_of([table[column].to_pylist() for column in columns])
            groups.append(RowGroup(str(path), len(groups), len(table), digest))

        for batch in reader:
            waiting.append(batch)
            while sum(map(len, waiting)) >= rows:
                table = pa.Table.from_batches(waiting, reader.schema)
                write(table.slice(0, rows))
                waiting = table.slice(rows).to_batches()
        if waiting:
            write(pa.Table.from_batches(waiting, reader.schema))
    return groups
