"""Parquet files that hold the pictures themselves, as HF `datasets` writes them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from stages.collect.files import PARQUETS, Found, check_local, expand
from stages.collect.rows import Row, captions_of, columns_of, text_of
from stages.collect.tables import check_columns, opened
from stages.config import ParquetSource
from stages.record import uid_of

IN_TABLE = -2
"""`Row.length` where the bytes are a cell: `Row.path` is the Parquet file, `Row.offset` the row in it, the
column the source's `image_column`; `read_images` reads them."""
_BATCH = 10_000
_IMAGES = 16  # that are in memory at once


def parquet_rows(
    source: ParquetSource, stamps: Mapping[str, str], before: Mapping[str, str] | None
) -> Iterator[Row]:
    """Every row of a source's Parquet files, in order; pictures are not read.

    A picture is called by its file and row, "train-0.parquet#17": the paths that the struct holds are names
    that other rows may share.

    Args:
        source: which files and columns.
        stamps: label of the file -> its hash, now.
        before: the same in the previous edition; None where there is none.

    Raises:
        ValueError: a file cannot be read, is not on this machine, has no rows, or lacks a column, or its
            image column holds no bytes; names them.
    """
    found = expand(source.name, source.tables)
    check_local(source.name, found, PARQUETS)
    for table in found:
        stamp = stamps.get(table.label, "")
        changed = before is not None and before.get(table.label, "") != stamp
        number = 0
        for captions, licence, passed in _told(source, table):
            location = f"{Path(table.path).name}#{number}"
            yield Row(
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
            number += 1
        if number == 0:
            raise ValueError(f"{table.path!r} of source {source.name!r} has no rows; give one that has")


def read_images(path: Path, column: str, rows: Sequence[int]) -> Iterator[tuple[int, bytes | None]]:
    """The bytes of some rows' pictures, in the order of the rows; None where a cell holds none.

    Reads the row groups that hold them, each once: ask for neighbours together.

    Args:
        path: of the Parquet file.
        column: that holds a struct of `bytes` and `path`, or the bytes alone.
        rows: their numbers, from 0; sorted, each once.

    Raises:
        OSError: the file cannot be read; IndexError: it has not so many rows.
    """
    with opened(path) as file:
        leaf = _leaf(file.schema_arrow, column, str(path))
        first, place = 0, 0
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            if place < len(rows) and rows[place] < end:
                for batch in file.iter_batches(_IMAGES, row_groups=[group], columns=[leaf]):
                    cells = batch.column(0)
                    while place < len(rows) and rows[place] < first + len(cells):
                        cell = cells[rows[place] - first]
                        value = cell.as_py() if leaf == column else (cell.as_py() or {}).get("bytes")
                        yield rows[place], value or None
                        place += 1
                    first += len(cells)
            first = end
        if place < len(rows):
            raise IndexError(f"{path} has {first} rows, none of number {rows[place]}")


_Told = tuple[tuple[list[str], list[str]], str, str]  # captions with their columns, licence, columns


def _told(source: ParquetSource, table: Found) -> Iterator[_Told]:
    """What each row says of its picture."""
    names = (*source.caption_columns, *source.columns, *filter(None, [source.licence_column]))
    try:
        with opened(table.path) as file:
            _leaf(file.schema_arrow, source.image_column, table.path)
            check_columns(names, file.schema_arrow.names, table.path)
            for batch in file.iter_batches(_BATCH, columns=list(dict.fromkeys(names))):
                cells = {name: batch.column(name).to_pylist() for name in names}
                for place in range(batch.num_rows):
                    values = {name: cells[name][place] for name in names}
                    told = [values[name] for name in source.caption_columns]
                    yield (
                        captions_of(source.caption_columns, told),
                        text_of(values.get(source.licence_column)).strip() or source.licence,
                        columns_of({name: values[name] for name in source.columns}),
                    )
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"{table.path!r} of source {source.name!r} cannot be read as Parquet: {error}; check the file"
        ) from error


def _leaf(schema: Any, column: str, path: str) -> str:
    """Name of the Parquet column that holds the bytes themselves."""
    check_columns([column], schema.names, path)
    kind = schema.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        column, kind = f"{column}.bytes", kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)):
        raise ValueError(
            f"column {column!r} of {path!r} is {kind}, neither bytes nor a struct that has `bytes`; "
            "name the column of the pictures in image_column"
        )
    return column
