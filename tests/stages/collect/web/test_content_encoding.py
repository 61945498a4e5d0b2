"""Bodies without their Content-Encoding: the same bytes however they are cut, and no more than allowed."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.web.content_encoding import decoded
from stages.collect.web.errors import PermanentError
from stages.reasons import Reason

MOST = 1_000_000


def raw(data: bytes) -> bytes:
    inner = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return inner.compress(data) + inner.flush()


ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: bytes(brotli.compress(data, quality=3)),
    "zstd": zstandard.ZstdCompressor().compress,
}


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def whole(encoded: bytes, encoding: str, size: int = 10_000, most: int = MOST) -> bytes:
    return b"".join(decoded(cut(encoded, size), encoding, most))


def fails(encoded: bytes, encoding: str, most: int = MOST) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        whole(encoded, encoding, most=most)
    return caught.value


@given(st.binary(max_size=3000), st.integers(1, 5), st.integers(1, 400), st.sampled_from(sorted(ENCODE)))
def test_what_was_encoded_comes_back_however_it_is_cut(data: bytes, times: int, size: int, name: str) -> None:
    assert whole(ENCODE[name](data * times), name, size) == data * times


@given(st.binary(max_size=3000), st.integers(1, 400))
def test_deflate_without_a_header_is_understood(data: bytes, size: int) -> None:
    assert whole(raw(data), "deflate", size) == data


@given(st.binary(max_size=500), st.sampled_from(sorted(ENCODE)), st.sampled_from(sorted(ENCODE)))
def test_two_may_lie_over_each_other(data: bytes, first: str, second: str) -> None:
    assert whole(ENCODE[second](ENCODE[first](data)), f"{first}, {second}") == data


def test_names_are_read_as_they_are_written() -> None:
    assert whole(gzip.compress(b"abc"), " X-GZip ,identity") == b"abc"
    assert whole(b"abc", "") == b"abc"
    assert whole(b"abc", "identity") == b"abc"
    assert whole(b"", "gzip") == b""


@pytest.mark.parametrize("encoding", ["compress", "gzip, gzip, gzip", "aes128gcm", "gzip;q=1", "x" * 500])
def test_what_nobody_knows_is_a_bad_answer(encoding: str) -> None:
    error = fails(b"abc", encoding)
    assert (error.reason, error.detail) == (Reason.BAD_ANSWER, f"Content-Encoding {encoding[:100]!r}")


@pytest.mark.parametrize("name", sorted(ENCODE))
@pytest.mark.parametrize("body", [b"\xff\xd8\xff\xe0 a picture that was never packed" * 5, b"\x00" * 40])
def test_bytes_that_are_not_what_is_said(name: str, body: bytes) -> None:
    error = fails(body, name)
    assert (error.reason, error.detail) == (Reason.BAD_ANSWER, f"a body that is no {name}")


@pytest.mark.parametrize("name", sorted(ENCODE))
def test_the_limit_is_on_what_it_unfolds_to(name: str) -> None:
    assert len(whole(ENCODE[name](bytes(1000)), name, most=1000)) == 1000
    error = fails(ENCODE[name](bytes(1001)), name, most=1000)
    assert (error.reason, error.detail) == (Reason.TOO_MANY_BYTES, "more than 1000 bytes")


@pytest.mark.parametrize("name", sorted(ENCODE))
def test_a_bomb_is_stopped_before_it_takes_memory(name: str) -> None:
    bomb = ENCODE[name](bytes(100_000_000))
    tracemalloc.start()
    try:
        assert fails(bomb, name).reason == Reason.TOO_MANY_BYTES
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


def test_a_bomb_in_a_bomb_is_stopped_at_the_first() -> None:
    assert fails(gzip.compress(gzip.compress(bytes(50_000_000)) * 200), "gzip, gzip").reason == (
        Reason.TOO_MANY_BYTES
    )
