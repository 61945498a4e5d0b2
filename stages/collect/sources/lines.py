"""Lines of a text that somebody else wrote, read in memory that no line, however long, can exceed."""

import io
from collections.abc import Callable
from typing import Any

PIECE = 1 << 16
"""Bytes, or characters, that are read at a time of what is passed over."""


class CancellableFile(io.RawIOBase):
    """A file as raw bytes, for `io.BufferedReader`; between reads it checks whether the work is cancelled."""

    def __init__(self, file: Any, check: Callable[[], None]) -> None:
        self._file = file
        self._check = check

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the file has more."""
        self._check()
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class TextLines:
    """Lines of a decoded text, an iterator such as `csv.reader` takes; line ends stay as they are.

    The lines since the last `begin` are one record. StopIteration ends the text; `LongRecordError` is raised
    where the record is longer than the limit, after which `record_lines` is what was read of it.
    """

    def __init__(self, text: io.TextIOWrapper, limit: int) -> None:
        """Read a text whose undecodable bytes are lone surrogates (`errors="surrogateescape"`).

        Args:
            text: opened with newline="".
            limit: characters of a record.
        """
        self._text = text
        self._limit = limit
        self.number = 0
        """Lines that have been begun."""
        self.record_lines: list[str] = []
        """The lines of the record so far."""
        self.size = 0
        """Characters of the record so far."""

    def begin(self) -> None:
        """The next line is a record's first."""
        self.record_lines.clear()
        self.size = 0

    def __iter__(self) -> "TextLines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._limit + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if not line.isascii():
            try:
                line.encode()
            except UnicodeEncodeError as error:
                code = ord(line[error.start])
                what = f"byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"U+{code:04X}"
                raise UndecodableError(self.number, what) from None
        self.record_lines.append(line)
        self.size += len(line)
        if self.size > self._limit:
            raise LongRecordError
        return line

    def read_piece(self) -> str:
        """The next piece of the line, or of the next one where this one has ended; "" at the end."""
        return self._text.readline(PIECE)


class LongRecordError(Exception):
    """A record is longer than may be held."""


class UndecodableError(Exception):
    """A line holds what the text's encoding does not know."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line
        self.what = what


def skip_line(file: "io.BufferedReader[CancellableFile]") -> None:
    """Read on to the end of a line of bytes, without holding it."""
    while (piece := file.readline(PIECE)) and not piece.endswith(b"\n"):
        pass
