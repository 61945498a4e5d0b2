"""Bodies that come encoded, decoded piece by piece, so that what unfolds to gigabytes is stopped early."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import brotli
import zstandard

from stages.collect.answer import failed
from stages.reasons import Reason

MAX_ENCODINGS = 2
"""Encodings laid over each other above which nobody means well."""
PIECE = 65_536
"""Bytes of a body that are decoded at once."""


class _Decoder(Protocol):
    def decode(self, data: bytes, most: int) -> bytes:
        """What these bytes unfold to, at most so many; the rest of it comes with the next call."""
        ...


class _Zlib:
    """gzip, and deflate in both the ways that servers mean it: with a zlib header (RFC 9110) and without."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._inner = zlib.decompressobj(bits)

    def decode(self, data: bytes, most: int) -> bytes:
        try:
            return self._inner.decompress(self._inner.unconsumed_tail + data, most)
        except zlib.error:
            if self._bits != zlib.MAX_WBITS:
                raise
            self._bits = -zlib.MAX_WBITS
            self._inner = zlib.decompressobj(self._bits)
            return self._inner.decompress(data, most)


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    def decode(self, data: bytes, most: int) -> bytes:
        if not data and self._inner.can_accept_more_data():
            return b""
        return bytes(self._inner.process(data, output_buffer_limit=most))


class _Zstd:
    def __init__(self) -> None:
        # RFC 9659: what comes over HTTP needs a window of 8 MB at most.
        self._inner = zstandard.ZstdDecompressor(max_window_size=8 << 20).decompressobj()
        self._rest = b""

    def decode(self, data: bytes, most: int) -> bytes:
        self._rest += data
        while self._rest:  # it takes no bound: four bytes can unfold to 128 KiB, so few go in at once
            piece, self._rest = self._rest[:128], self._rest[128:]
            if out := self._inner.decompress(piece):
                return out
        return b""


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "x-gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "br": _Brotli,
    "zstd": _Zstd,
}


def decoded(pieces: Iterable[bytes], content_encoding: str, max_bytes: int) -> Iterator[bytes]:
    """A body without its Content-Encoding, piece by piece.

    Args:
        pieces: of the body as it comes.
        content_encoding: the header's value; "" and "identity" leave the body as it is.
        max_bytes: most bytes that it may unfold to.

    Raises:
        FetchError: TOO_MANY_BYTES above `max_bytes`; BAD_ANSWER for an encoding that nobody knows, and for
            bytes that are not what it says.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > MAX_ENCODINGS or any(name not in _DECODERS for name in names):
        raise failed(Reason.BAD_ANSWER, f"Content-Encoding {content_encoding[:100]!r}")
    for name in reversed(names):
        pieces = _unfolded(pieces, _DECODERS[name](), name, max_bytes)
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > max_bytes:
            raise failed(Reason.TOO_MANY_BYTES, f"more than {max_bytes} bytes")
        yield piece


def _unfolded(pieces: Iterable[bytes], decoder: _Decoder, name: str, max_bytes: int) -> Iterator[bytes]:
    for whole in pieces:
        for start in range(0, len(whole), PIECE):
            data = whole[start : start + PIECE]
            while True:
                try:
                    out = decoder.decode(data, max_bytes + 1)
                except (zlib.error, brotli.error, zstandard.ZstdError) as error:
                    raise failed(Reason.BAD_ANSWER, f"a body that is no {name}") from error
                if not out:
                    break
                yield out
                data = b""
