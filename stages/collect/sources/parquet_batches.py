"""Parquet read in batches that are bounded by what they unpack to, not by what the file weighs.

Texts stay dictionaries of Arrow on the way: ten thousand rows that repeat one long text hold it once.
"""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from stages.collect.sources.batch import RowBatch, bounded
from stages.collect.sources.delimited import check_columns
from stages.collect.sources.limits import BATCH_ROWS, ReadContext
from stages.collect.sources.page_headers import DELTA_BYTE_ARRAY, PageHeader, read_page_headers

pc: Any = pyarrow.compute  # whose functions are made at import
PAGE_BYTES = 256 << 20
"""Bytes that a page of texts or numbers may unpack to; writers make pages of about 1 MB."""
IMAGE_PAGE_BYTES = 1 << 30
"""Bytes that a page of pictures may unpack to: some writers put a hundred into one."""
_LIST_VALUES = 20_000_000
"""Values of lists in one row group of a column; one row can have them all, in a few bytes."""
_BUDGET = 32 << 20
"""Bytes that a batch may have by its pages' averages."""
_VALUE = 64
"""Bytes of a value in Python, roughly."""


def read_parquet(
    file: BinaryIO, columns: Sequence[str], path: str, reading: ReadContext, others: bool
) -> Iterator[RowBatch]:
    """The rows of a Parquet file in batches, of values that Python has.

    Args:
        file: the file.
        columns: that it must have.
        path: named in errors.
        reading: its limits; a row with a longer cell is refused.
        others: give all columns.

    Raises:
        ValueError: it lacks a column, or its pages unpack to more than may be held; names path and remedy.
        OSError, pa.ArrowException: it is damaged.
    """
    with opened(file) as plain:
        schema = plain.schema_arrow
        check_columns(columns, schema.names, path)
        chosen = list(schema.names) if others else list(dict.fromkeys(columns))
        leaves = leaves_of(plain, chosen)
        table = with_dictionaries(file, plain, leaves)
        number = 0
        for group in range(plain.num_row_groups):
            rows = rows_at_once(file, table, group, leaves, path, PAGE_BYTES)
            for batch in table.iter_batches(rows, row_groups=[group], columns=chosen):
                reading.check()
                names = batch.schema.names
                cells = {
                    name: _cells(batch.column(place), reading.limits.cell_bytes)
                    for place, name in enumerate(names)
                }
                places = [f"row {number + offset + 1}" for offset in range(batch.num_rows)]
                number += batch.num_rows
                long = {
                    place: reading.limits.long_cell(name, places[place])
                    for name, (_, too_long) in cells.items()
                    for place in too_long
                }
                yield bounded(
                    {name: values for name, (values, _) in cells.items()}, places, long, reading.limits
                )


def opened(file: Any) -> Any:
    """A Parquet file, to be read in memory that doesn't grow with its row groups."""
    # pre_buffer would fetch ahead without a limit; without a buffer, a column's whole chunk is read at once.
    return pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)


def leaves_of(table: Any, columns: Sequence[str]) -> list[int]:
    """The numbers of the Parquet columns below some columns of the table."""
    names = [table.schema.column(number).path for number in range(len(table.schema.names))]
    # A name may hold dots; the schema's order is that of the tops.
    tops = table.schema_arrow.names
    return [
        number
        for number, name in enumerate(names)
        if any(name == top or name.startswith(f"{top}.") for top in tops if top in columns)
    ]


def with_dictionaries(file: Any, table: Any, leaves: Sequence[int]) -> Any:
    """A Parquet file opened so that the texts and bytes among some of its columns are read as
    dictionaries."""
    texts: list[str] = []
    for number in leaves:
        column = table.schema.column(number)
        if column.physical_type == "BYTE_ARRAY" and column.logical_type.type in (
            "STRING",
            "NONE",
            "JSON",
            "ENUM",
        ):
            top = column.path.split(".")[0]
            place = table.schema_arrow.get_field_index(top)
            if place < 0 or not _has_map(table.schema_arrow.field(place).type):
                texts.append(column.path)
    return pq.ParquetFile(
        file, metadata=table.metadata, pre_buffer=False, buffer_size=1 << 20, read_dictionary=texts
    )


def rows_at_once(
    file: BinaryIO, table: Any, group: int, leaves: Sequence[int], path: str, page_bytes: int
) -> int:
    """How many rows of a row group may be read at a time, by the headers of its pages.

    ValueError: a page unpacks to more than `page_bytes`, or lists are too long; names the path and remedy.
    """
    meta = table.metadata.row_group(group)
    total = 1.0
    for number in leaves:
        chunk, column = meta.column(number), table.schema.column(number)
        try:
            headers = read_page_headers(file, chunk)
        except ValueError as error:
            raise ValueError(
                f"table {path!r}, column {column.path[:80]!r}, cannot be read as parquet: {error}; check "
                "the file"
            ) from None
        largest = max((page.size for page in headers), default=0)
        if largest > page_bytes:
            raise ValueError(
                f"table {path!r}, column {column.path[:80]!r}: a page unpacks to {largest:,} bytes, of "
                f"at most {page_bytes:,}; write the file anew with smaller pages (data_page_size)"
            )
        if column.max_repetition_level and chunk.num_values > _LIST_VALUES:
            raise ValueError(
                f"table {path!r}, column {column.path[:80]!r}: the lists of one row group hold "
                f"{chunk.num_values:,} values, of at most {_LIST_VALUES:,}; write the file anew with "
                "smaller row groups"
            )
        values = chunk.num_values / max(1, meta.num_rows)
        total += values * (_VALUE + _bytes_a_value(headers, column))
    return max(1, min(BATCH_ROWS, int(_BUDGET / total)))


def _bytes_a_value(headers: Sequence[PageHeader], column: Any) -> float:
    if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
        return column.length
    if column.physical_type != "BYTE_ARRAY":
        return 0
    # A page's bytes bound those of a value that repeats the one before.
    return max(
        (
            page.size if page.encoding == DELTA_BYTE_ARRAY else page.size / max(1, page.values)
            for page in headers
            if not page.is_dictionary
        ),
        default=0,
    )


def _has_map(kind: Any) -> bool:
    if pa.types.is_map(kind):
        return True
    return any(_has_map(kind.field(place).type) for place in range(kind.num_fields))


def _cells(array: Any, cell_bytes: int) -> tuple[list[Any], list[int]]:
    """The values of an Arrow array, equal texts one object; the places of lists too long to be values."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        used = pc.unique(array.indices)
        words = dict(zip(used.to_pylist(), array.dictionary.take(used).to_pylist(), strict=True))
        return [words[place] for place in array.indices.to_pylist()], []
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = pc.list_value_length(array).fill_null(0).to_pylist()
        too_long = [place for place, length in enumerate(lengths) if length * 8 > cell_bytes]
        if too_long:
            marks = pa.array([length * 8 > cell_bytes for length in lengths])
            array = pc.if_else(marks, pa.scalar(None, kind), array)
        items, _ = _cells(array.flatten(), cell_bytes)
        lists: list[Any] = []
        place = 0
        for length in pc.list_value_length(array).to_pylist():
            lists.append(None if length is None else items[place : place + length])
            place += length or 0
        return lists, too_long
    if pa.types.is_struct(kind):
        names = [kind.field(place).name for place in range(kind.num_fields)]
        fields = [_cells(array.field(place), cell_bytes)[0] for place in range(kind.num_fields)]
        rows = zip(*fields, strict=True) if fields else ([()] * len(array))
        there = array.is_valid().to_pylist()
        return [
            dict(zip(names, row, strict=True)) if valid else None
            for row, valid in zip(rows, there, strict=True)
        ], []
    return array.to_pylist(), []
