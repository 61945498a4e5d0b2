"""The headers of a Parquet column's pages: how much each unpacks to, before anything is unpacked.

A few kilobytes of Parquet can unpack to gigabytes (a decompression bomb), and the footer's sums are only what
the writer says. Page headers are Thrift structs in the compact protocol (https://github.com/apache/parquet-
format, PageHeader); the reader unpacks a page by them, so that what they say is what comes.
"""

from dataclasses import dataclass
from typing import Any, BinaryIO, cast

_HEADER = 1 << 16
"""Bytes that are read for a header at first; statistics in it can be long."""
_LONGEST = 1 << 22
_DICTIONARY_PAGE = 2
DELTA_BYTE_ARRAY = 7
"""Parquet's number of the encoding in which a value repeats the beginning of the one before."""


@dataclass(frozen=True)
class PageHeader:
    """A page of a column chunk."""

    size: int
    """Bytes that it unpacks to."""
    values: int
    """Values in it, those of lists each; of a dictionary, its entries."""
    is_dictionary: bool
    encoding: int
    """Parquet's number; `DELTA_BYTE_ARRAY`, or others."""


def read_page_headers(file: BinaryIO, chunk: Any) -> list[PageHeader]:
    """The pages of a column chunk, by their headers alone.

    Args:
        file: the Parquet file, by which the chunk's metadata came.
        chunk: pyarrow's ColumnChunkMetaData.

    Raises:
        ValueError: these are no page headers.
    """
    place = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < place:
        place = chunk.dictionary_page_offset
    end = place + chunk.total_compressed_size + _HEADER  # some writers leave a header out of the sum
    headers: list[PageHeader] = []
    values = 0
    while values < chunk.num_values and place < end:
        length, fields = _header(file, place)
        size, packed = fields.get(2), fields.get(3)
        if not isinstance(size, int) or not isinstance(packed, int) or size < 0 or packed < 0:
            raise ValueError(f"no header of a page at byte {place}")
        is_dictionary = fields.get(1) == _DICTIONARY_PAGE
        inner = cast("dict[int, Any]", next((fields[key] for key in (5, 7, 8) if key in fields), {}))
        count, encoding = int(inner.get(1, 0)), int(inner.get(4 if 8 in fields else 2, 0))
        headers.append(PageHeader(size, count, is_dictionary, encoding))
        values += 0 if is_dictionary else count
        place += length + packed
    if values < chunk.num_values:
        raise ValueError(f"its pages hold {values} values of {chunk.num_values}")
    return headers


def _header(file: BinaryIO, place: int) -> tuple[int, dict[int, Any]]:
    size = _HEADER
    while True:
        file.seek(place)
        data = file.read(size)
        try:
            return ThriftStruct(data).read()
        except IndexError:  # it ends before the header does
            if len(data) < size or size >= _LONGEST:
                raise ValueError(f"no header of a page at byte {place}") from None
            size *= 8


class ThriftStruct:
    """A struct in Thrift's compact protocol: field number -> number or struct, the rest skipped."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def read(self) -> tuple[int, dict[int, Any]]:
        """Its length in bytes, and its fields. IndexError where the bytes end before it; ValueError: none."""
        fields = self._fields(0)
        return self._place, fields

    def _fields(self, depth: int) -> dict[int, Any]:
        if depth > 8:
            raise ValueError("no header of a page: it is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while byte := self._byte():
            number = number + (byte >> 4) if byte >> 4 else self._zigzag()
            fields[number] = self._value(byte & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):  # a boolean, in the type itself
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return self._skip(8)
        if kind == 8:
            return self._skip(self._varint())
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            if count > len(self._data):
                raise IndexError
            for _ in range(count):
                self._byte() if head & 15 in (1, 2) else self._value(head & 15, depth + 1)
            return None
        if kind == 12:
            return self._fields(depth + 1)
        raise ValueError(f"no header of a page: type {kind} in it")

    def _skip(self, length: int) -> None:
        self._place += length
        if self._place > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        byte = self._data[self._place]
        self._place += 1
        return byte

    def _varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("no header of a page: a number in it is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
