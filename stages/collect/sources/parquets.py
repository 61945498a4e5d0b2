"""Parquet files that hold the pictures themselves, as HF `datasets` writes them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.collect.sources.delimited import check_columns
from stages.collect.sources.files import PARQUETS, SourceFile, check_local, expand
from stages.collect.sources.limits import ReadContext, Rejection
from stages.collect.sources.parquet_batches import (
    IMAGE_PAGE_BYTES,
    leaves_of,
    opened,
    read_parquet,
    rows_at_once,
    with_dictionaries,
)
from stages.collect.sources.rows import SourceRow, captions_of, columns_of, rejected, rejection_of, text_of
from stages.config.collect import ParquetSource
from stages.record import uid_of
from stages.regular_file import open_regular

IN_TABLE = -2
"""`SourceRow.length` where the bytes are a cell: `SourceRow.path` is the Parquet file, `SourceRow.offset` the
row in it, the column the source's `image_column`; `read_images` reads them."""
_IMAGES = 16  # that are in memory at once


def parquet_rows(
    source: ParquetSource,
    stamps: Mapping[str, str],
    before: Mapping[str, str] | None,
    reading: ReadContext | None = None,
) -> Iterator[SourceRow]:
    """Every row of a source's Parquet files, in order; pictures are not read.

    A picture is called by its file and row, "train-0.parquet#17": the paths that the struct holds are names
    that other rows may share.

    Args:
        source: which files and columns.
        stamps: label of the file -> its hash, now.
        before: the same in the previous edition; None where there is none.
        reading: the limits of a row, and what checks whether to stop; the defaults where None.

    Raises:
        ValueError: a file cannot be read, is not on this machine, has no rows, or lacks a column, or its
            image column holds no bytes; names them.
    """
    tables = expand(source.name, source.tables)
    check_local(source.name, tables, PARQUETS)
    for table in tables:
        stamp = stamps.get(table.label, "")
        changed = before is not None and before.get(table.label, "") != stamp
        number = 0
        for captions, licence, passed, rejection in _row_fields(source, table, reading or ReadContext()):
            location = f"{Path(table.path).name}#{number}"
            row = SourceRow(
                uid=uid_of(source.name, location),
                source=source.name,
                location=location,
                row=f"{source.name}:{table.label}:{number}",
                captions=captions[0],
                caption_sources=captions[1],
                licence=licence,
                columns=passed,
                path=table.path,
                offset=number,
                length=IN_TABLE,
                stamp=stamp,
                changed=changed,
            )
            yield row if rejection is None else rejected(row, rejection)
            number += 1
        if number == 0:
            raise ValueError(f"{table.path!r} of source {source.name!r} has no rows; give one that has")


def read_images(
    path: Path, column: str, rows: Sequence[int], max_bytes: int
) -> Iterator[tuple[int, bytes | int | None]]:
    """The bytes of some rows' pictures, in the order of the rows; None where a cell holds none.

    Reads the row groups that hold them, each once: ask for neighbours together.

    Args:
        path: of the Parquet file.
        column: that holds a struct of `bytes` and `path`, or the bytes alone.
        rows: their numbers, from 0; sorted, each once.
        max_bytes: of a longer picture only its length comes.

    Raises:
        OSError: the file cannot be read; IndexError: it has not so many rows; ValueError: its pages unpack to
            more than may be held.
    """
    with open_regular(path) as file, opened(file) as plain:
        leaf = _leaf(plain.schema_arrow, column, str(path))
        leaves = [number for number in leaves_of(plain, [column]) if plain.schema.column(number).path == leaf]
        table = with_dictionaries(file, plain, leaves)
        first, place = 0, 0
        for group in range(table.num_row_groups):
            end = first + table.metadata.row_group(group).num_rows
            if place < len(rows) and rows[place] < end:
                count = rows_at_once(file, table, group, leaves, str(path), IMAGE_PAGE_BYTES)
                for batch in table.iter_batches(min(count, _IMAGES), row_groups=[group], columns=[leaf]):
                    cells = batch.column(0)
                    if leaf != column:
                        cells = cells.flatten()[0]  # a missing struct has no bytes
                    while place < len(rows) and rows[place] < first + len(cells):
                        yield rows[place], _bytes(cells, rows[place] - first, max_bytes)
                        place += 1
                    first += len(cells)
            first = end
        if place < len(rows):
            raise IndexError(f"{path} has {first} rows, none of number {rows[place]}")


def _bytes(cells: Any, place: int, max_bytes: int) -> bytes | int | None:
    """A cell's bytes, or how many they are where they are too many; None where there are none."""
    cell = cells[place]
    if pa.types.is_dictionary(cells.type):
        cell = cell.value
    buffer = cell.as_buffer() if cell is not None and cell.is_valid else None
    if not buffer:
        return None
    return buffer.size if buffer.size > max_bytes else buffer.to_pybytes()


_RowFields = tuple[tuple[list[str], list[str]], str, str, Rejection | None]
"""Captions with their columns, licence, columns, why the row is refused."""


def _row_fields(source: ParquetSource, table: SourceFile, reading: ReadContext) -> Iterator[_RowFields]:
    """What each row says of its picture."""
    names = (*source.caption_columns, *source.columns, *filter(None, [source.licence_column]))
    try:
        with table.open() as file:
            _leaf(opened(file).schema_arrow, source.image_column, table.path)
            for batch in read_parquet(file, names, table.path, reading, others=False):
                for place in range(len(batch)):
                    values = {name: batch.columns[name][place] for name in names}
                    captions = captions_of(
                        source.caption_columns, [values[name] for name in source.caption_columns]
                    )
                    licence = text_of(values.get(source.licence_column)).strip() or source.licence
                    columns = columns_of({name: values[name] for name in source.columns})
                    where = batch.places[place]
                    rejection = batch.rejections.get(place) or rejection_of(
                        captions[0], columns, where, reading
                    )
                    yield captions, licence, columns, rejection
    except (OSError, pa.ArrowException, RecursionError) as error:
        raise ValueError(
            f"{table.path!r} of source {source.name!r} cannot be read as Parquet: {error}; check the file"
        ) from error


def _leaf(schema: Any, column: str, path: str) -> str:
    """Name of the Parquet column that holds the bytes themselves."""
    check_columns([column], schema.names, path)
    kind = schema.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        column, kind = f"{column}.bytes", kind.field("bytes").type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)):
        raise ValueError(
            f"column {column!r} of {path!r} is {kind}, neither bytes nor a struct that has `bytes`; "
            "name the column of the pictures in image_column"
        )
    return column
