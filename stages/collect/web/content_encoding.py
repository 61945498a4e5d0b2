"""Bodies with a Content-Encoding (gzip, deflate, br, zstd), decoded piece by piece, so that a decompression
bomb is stopped early."""

import zlib
from collections.abc import Callable, Iterable, Iterator

import brotli
import zstandard

from stages.collect.web.errors import fetch_error
from stages.reasons import Reason

MAX_ENCODINGS = 2
"""Encodings laid over each other above which nobody means well."""
PIECE = 65_536
"""Bytes that are decompressed to at once, about."""

_Decode = Callable[[Iterable[bytes]], Iterator[bytes]]


def decoded(pieces: Iterable[bytes], content_encoding: str, max_bytes: int) -> Iterable[bytes]:
    """A body without its Content-Encoding, piece by piece.

    Args:
        pieces: of the body as it comes.
        content_encoding: the header's value; "" and "identity" leave the body as it is.
        max_bytes: most bytes that each encoding may decompress to.

    Raises:
        FetchError: TOO_MANY_BYTES above `max_bytes`; BAD_ANSWER for an encoding that nobody knows, and for
            bytes that are not what it says.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > MAX_ENCODINGS or any(name not in _DECODERS for name in names):
        raise fetch_error(Reason.BAD_ANSWER, f"Content-Encoding {content_encoding[:100]!r}")
    for name in reversed(names):
        pieces = _bounded(_DECODERS[name](pieces), name, max_bytes)
    return pieces


def _bounded(pieces: Iterable[bytes], name: str, max_bytes: int) -> Iterator[bytes]:
    size = 0
    try:
        for piece in pieces:
            size += len(piece)
            if size > max_bytes:
                raise fetch_error(Reason.TOO_MANY_BYTES, f"more than {max_bytes} bytes")
            yield piece
    except (zlib.error, brotli.error, zstandard.ZstdError) as error:
        raise fetch_error(Reason.BAD_ANSWER, f"a body that is no {name}") from error


def _gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return _inflated(pieces, zlib.MAX_WBITS | 16)


def _deflate(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """In both the ways that servers mean it: with a zlib header, as RFC 9110 has it, and without."""
    source, start = iter(pieces), b""
    for piece in source:
        start += piece
        if len(start) >= 2:
            break
    zlib_header = len(start) >= 2 and start[0] & 15 == 8 and int.from_bytes(start[:2]) % 31 == 0  # RFC 1950
    bits = zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS

    def replay() -> Iterator[bytes]:
        yield start
        yield from source

    return _inflated(replay(), bits)


def _inflated(pieces: Iterable[bytes], bits: int) -> Iterator[bytes]:
    decompressor = zlib.decompressobj(bits)
    for data in pieces:
        while output := decompressor.decompress(data, PIECE):
            yield output
            data = decompressor.unconsumed_tail


def _brotli(pieces: Iterable[bytes]) -> Iterator[bytes]:
    decompressor = brotli.Decompressor()
    for data in pieces:
        yield decompressor.process(data, output_buffer_limit=PIECE)
        while not decompressor.can_accept_more_data():
            yield decompressor.process(b"", output_buffer_limit=PIECE)


def _zstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    # RFC 9659: what comes over HTTP needs a window of 8 MB at most.
    decompressor = zstandard.ZstdDecompressor(max_window_size=8 << 20).decompressobj()
    for data in pieces:
        for start in range(0, len(data), 128):  # it takes no bound: four bytes can unfold to 128 KiB
            yield decompressor.decompress(data[start : start + 128])


_DECODERS: dict[str, _Decode] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
