"""Rows in groups of equal size, whatever the batches that they come in."""

from pathlib import Path

import pyarrow as pa
import pytest

from stages.collect.row_groups import RowGroup, write_row_groups

ROWS = [{"key": f"{number:02d}", "place": number} for number in range(10)]


def groups_of(path: Path, batch: int, rows: int = 4) -> list[RowGroup]:
    table = pa.Table.from_pylist(ROWS)
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=batch))
    return write_row_groups(reader, path, rows, ["key"])


@pytest.mark.parametrize("batch", [1, 3, 4, 9, 10])
def test_groups_are_alike_whatever_the_batches(tmp_path: Path, batch: int) -> None:
    groups = groups_of(tmp_path / "rows.parquet", batch)
    assert [group.read() for group in groups] == [ROWS[:4], ROWS[4:8], ROWS[8:]]
    assert [group.rows for group in groups] == [4, 4, 2]
    assert [group.digest for group in groups] == [
        group.digest for group in groups_of(tmp_path / "others.parquet", 10)
    ]
    assert len({group.digest for group in groups}) == 3


def test_a_digest_is_of_the_columns_that_count(tmp_path: Path) -> None:
    (before,) = groups_of(tmp_path / "before.parquet", 10, rows=10)
    moved = pa.Table.from_pylist([{**row, "place": 0} for row in ROWS])
    (after,) = write_row_groups(moved.to_reader(), tmp_path / "after.parquet", 10, ["key"])
    assert after.digest == before.digest
    assert after.read() != before.read()
