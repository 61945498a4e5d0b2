"""One GET as we want it made: http and https alone, to public addresses, within a deadline and a size.

The downloader calls `urllib.request.urlopen` for every row, and an `Opener` installed with `installed`
answers it. It does the whole exchange inside `open`, redirects and body included (urllib's own handler
reads the body of a redirect without a limit). What goes wrong becomes a `FetchError` whose words begin with
a `Reason`; the downloader hands them on as its error message.

No proxy is used, whatever the environment says: behind one nobody could tell which address is connected to.
"""

import http.client
import io
import socket
import ssl
import string
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from stages.collect.connection import (
    Connection,
    FetchError,
    Guard,
    SecureConnection,
    seconds_left,
    tls_context,
)
from stages.collect.url import normalise
from stages.reasons import Reason

REQUEST_HEADERS = {
    "User-Agent": "sdflow/0.1 (collects images for a dataset)",
    "Accept": "image/*,*/*;q=0.5",
    "Connection": "close",
}
KEPT_HEADERS = (
    "content-type",
    "content-length",
    "last-modified",
    "etag",
    "retry-after",
    "x-robots-tag",
    "tdm-reservation",
)
MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass
class Exchange:
    """What is remembered of a GET, for evidence; `status` is 0 where no answer came, `seconds` its time."""

    url: str
    final_url: str
    status: int = 0
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Opener:
    """Answers `urllib.request.urlopen`; safe to use from many threads.

    `guard` decides on addresses; `max_bytes` bounds a body; `deadline`, in seconds, bounds a whole exchange.
    """

    guard: Guard
    max_bytes: int
    deadline: float
    tls: ssl.SSLContext = field(default_factory=tls_context)
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    """Every exchange, in the order in which they ended."""

    def open(
        self, request: urllib.request.Request | str, data: None = None, timeout: Any = None
    ) -> io.BytesIO:
        """The body of the answer to a request's URL; nothing else of the request counts, nor `timeout`.

        Raises:
            FetchError: whatever went wrong, in words that are the same whenever the same goes wrong.
        """
        url = request if isinstance(request, str) else request.full_url
        started = time.monotonic()
        exchange = Exchange(url, url)
        try:
            return self._follow(exchange, started + self.deadline)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise self._typed(error) from error
        finally:
            exchange.seconds = time.monotonic() - started
            self.exchanges.append(exchange)

    def _follow(self, exchange: Exchange, until: float) -> io.BytesIO:
        for _ in range(MAX_REDIRECTS + 1):
            connection = self._connection(exchange.final_url, until)
            try:
                target = urlsplit(exchange.final_url)
                path = target.path + (f"?{target.query}" if target.query else "")
                connection.request("GET", path, headers=REQUEST_HEADERS)
                with connection.getresponse() as answer:
                    exchange.status = answer.status
                    exchange.headers = {
                        name: str(answer.headers[name]) for name in KEPT_HEADERS if name in answer.headers
                    }
                    if answer.status in _REDIRECTS and "location" in answer.headers:
                        exchange.final_url = _redirected(exchange.final_url, str(answer.headers["location"]))
                        continue
                    if not 200 <= answer.status < 300:
                        words = f"{answer.status} {answer.reason}".strip()
                        raise FetchError(_reason_of_status(answer.status), words)
                    return self._body(answer, until)
            finally:
                connection.close()
        raise FetchError(Reason.HTTP_CLIENT_ERROR, f"more than {MAX_REDIRECTS} redirects")

    def _connection(self, url: str, until: float) -> Connection:
        try:
            parts = urlsplit(normalise(url))
        except ValueError as error:
            raise FetchError(Reason.BAD_URL, str(error)) from None
        assert parts.hostname is not None
        if parts.scheme == "https":
            return SecureConnection(parts.hostname, parts.port, self.guard, until, self.tls)
        return Connection(parts.hostname, parts.port, self.guard, until)

    def _body(self, answer: http.client.HTTPResponse, until: float) -> io.BytesIO:
        announced = answer.length
        if announced is not None and announced > self.max_bytes:
            raise FetchError(Reason.TOO_MANY_BYTES, f"{announced} bytes announced")
        body = io.BytesIO()
        while chunk := answer.read1(
            65536
        ):  # at most one receive each, so that limits are looked at in between
            body.write(chunk)
            if body.tell() > self.max_bytes:
                raise FetchError(Reason.TOO_MANY_BYTES, f"more than {self.max_bytes} bytes")
            seconds_left(until)
        if announced is not None and body.tell() < announced:
            raise FetchError(Reason.CONNECTION_FAILED, "the connection ended before the body did")
        body.seek(0)
        return body

    def _typed(self, error: Exception) -> FetchError:
        if isinstance(error, socket.gaierror):
            return FetchError(Reason.NAME_NOT_RESOLVED, error.strerror or "the name has no address")
        if isinstance(error, TimeoutError):
            return FetchError(Reason.TIMEOUT, f"no whole answer within {self.deadline:g} s")
        if isinstance(error, http.client.InvalidURL | UnicodeError):
            return FetchError(Reason.BAD_URL, str(error))
        if isinstance(error, OSError) and error.strerror:
            return FetchError(Reason.CONNECTION_FAILED, error.strerror)
        return FetchError(Reason.CONNECTION_FAILED, type(error).__name__)  # its words would count bytes


@contextmanager
def installed(opener: Opener) -> Generator[None]:
    """Let `urllib.request.urlopen` of this process go through an opener; what was there comes back."""
    before: Any = getattr(urllib.request, "_opener", None)
    urllib.request.install_opener(opener)  # pyright: ignore[reportArgumentType] - urlopen needs its `open` alone
    try:
        yield
    finally:
        urllib.request.install_opener(before)


def _redirected(url: str, location: str) -> str:
    # http.client reads headers as ISO-8859-1: quoting from it gives the bytes that the server sent.
    target = urljoin(url, quote(location, encoding="iso-8859-1", safe=string.punctuation))
    try:
        return normalise(target)
    except ValueError as error:
        raise FetchError(Reason.BAD_URL, f"redirected to {target[:200]!r}, which {error}") from None


def _reason_of_status(status: int) -> Reason:
    if status == 429:
        return Reason.HTTP_TOO_MANY_REQUESTS
    if status == 408:
        return Reason.TIMEOUT
    return Reason.HTTP_SERVER_ERROR if status >= 500 else Reason.HTTP_CLIENT_ERROR
