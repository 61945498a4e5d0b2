"""An HTTP client: one GET at a time, to public addresses (no SSRF), within a time and a size, over pooled
connections.

No redirect is followed here, and no proxy is used, whatever the environment says: behind one nobody could
tell which address is connected to.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from importlib.metadata import version
from urllib.parse import urlsplit

from stages.collect.web.address import forbidden, networks_of
from stages.collect.web.connection import (
    Connection,
    Guard,
    SecureConnection,
    seconds_left,
    tls_context,
)
from stages.collect.web.content_encoding import decoded
from stages.collect.web.errors import FetchError, fetch_error
from stages.collect.web.pool import ConnectionPool
from stages.collect.web.records import Response
from stages.collect.web.resolver import Resolve, Resolver
from stages.reasons import Reason

ERROR_BYTES = 65_536
"""Bytes above which the body beside a redirect or an error is not read to keep the connection alive."""
ERROR_SECONDS = 2.0
"""Longest time for which the body beside a redirect or an error is read."""

_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
_UNKNOWN_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_Destination = tuple[str, str, int | None, tuple[str, ...]]


class HttpClient:
    """Makes GET requests, each within its limits; safe to use from many threads."""

    def __init__(
        self,
        *,
        agent: str,
        contact: str = "",
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """A client without connections.

        Args:
            agent: name of the crawler in the User-Agent.
            contact: where a site's owner can reach who runs it.
            resolve: looks host names up (DNS); the system's resolver where None.
            tls: what certificates are checked by; the system's where None.
        """
        about = f"+{contact}" if contact else "collects images for a dataset"
        self._headers = {
            "User-Agent": f"{agent}/{version('sdflow')} ({about})",
            "Accept": "image/*,*/*;q=0.5",
            "Accept-Encoding": "identity",  # pictures are packed already; what comes encoded is decoded
        }
        self._resolve: Resolve = resolve or Resolver()
        self._tls = tls or tls_context()
        self._pool = ConnectionPool()

    def get(
        self,
        url: str,
        *,
        networks: tuple[str, ...] = (),
        max_bytes: int,
        until: float,
        headers: Mapping[str, str] | None = None,
        on_headers: Callable[[Response], None] | None = None,
    ) -> Response:
        """The response to a GET of a normalised URL, whatever its status.

        Args:
            url: http or https.
            networks: that may be connected to although they are not public.
            max_bytes: of the body, as it comes and decoded. Only a 2xx response has one.
            until: moment at which it must be over, on the clock of `time.monotonic`.
            headers: of the request, besides the usual ones.
            on_headers: gets the answer before its body is read; raises a FetchError where that is not wanted.

        Raises:
            FetchError: whatever went wrong below the status, in words that are alike when it is alike.
        """
        parts = urlsplit(url)
        assert parts.hostname is not None
        destination = (parts.scheme, parts.hostname, parts.port, networks)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            connection, response = self._send(destination, path, {**self._headers, **(headers or {})}, until)
            head = Response(url, response.status, response.reason, response.headers, b"", connection.address)
            reusable = False
            try:
                if on_headers is not None:
                    on_headers(head)
                if not 200 <= response.status < 300:
                    reusable = _drained(response, connection, until)
                    return head
                body = _body(response, max_bytes, until)
                reusable = not response.will_close
                return replace(head, body=body)
            finally:
                response.close()  # a connection can be used again only after that, though the body is read
                if reusable:
                    self._pool.put(destination, connection)
                else:
                    connection.close()
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise _translated(error) from error

    def close(self) -> None:
        """Close the pooled connections and the resolver."""
        self._pool.close()
        if isinstance(self._resolve, Resolver):
            self._resolve.close()

    def _send(
        self, destination: _Destination, path: str, headers: Mapping[str, str], until: float
    ) -> tuple[Connection, http.client.HTTPResponse]:
        """A connection, pooled or new, and the response over it, its body not yet read."""
        pooled = self._pool.take(destination, until)
        if pooled is not None:
            with suppress(*_STALE):  # the server closed it meanwhile
                return pooled, pooled.send_get(path, headers)
        scheme, host, port, networks = destination
        guard = _guard(networks)
        if scheme == "https":
            new = SecureConnection(host, port, guard, self._resolve, until, self._tls)
        else:
            new = Connection(host, port, guard, self._resolve, until)
        return new, new.send_get(path, headers)


def _body(response: http.client.HTTPResponse, max_bytes: int, until: float) -> bytes:
    announced = response.length
    if announced is not None and announced > max_bytes:
        raise fetch_error(Reason.TOO_MANY_BYTES, f"{announced} bytes announced")
    encoding = ", ".join(response.headers.get_all("Content-Encoding", []))
    body = b"".join(decoded(_pieces(response, max_bytes, until), encoding, max_bytes))
    if response.length:
        raise fetch_error(Reason.CONNECTION_FAILED, "the connection ended before the body did")
    return body


def _drained(response: http.client.HTTPResponse, connection: Connection, until: float) -> bool:
    """Read the body beside a redirect or an error; whether the connection can be used again."""
    if response.will_close or (response.length or 0) > ERROR_BYTES:
        return False
    connection.set_deadline(min(until, time.monotonic() + ERROR_SECONDS))
    try:
        for _ in _pieces(response, ERROR_BYTES, until):
            pass
    except (FetchError, OSError, http.client.HTTPException):
        return False
    return not response.length


def _pieces(response: http.client.HTTPResponse, max_bytes: int, until: float) -> Iterator[bytes]:
    size = 0
    while piece := response.read1(
        262_144
    ):  # at most one receive each, so that limits are looked at in between
        size += len(piece)
        if size > max_bytes:
            raise fetch_error(Reason.TOO_MANY_BYTES, f"more than {max_bytes} bytes")
        yield piece
        seconds_left(until)


@lru_cache(maxsize=1024)
def _guard(networks: tuple[str, ...]) -> Guard:
    return partial(forbidden, networks=networks_of(networks))


def _translated(error: Exception) -> FetchError:
    if isinstance(error, socket.gaierror):
        lasting = error.errno in _UNKNOWN_NAME
        reason = Reason.NO_SUCH_NAME if lasting else Reason.NAME_NOT_RESOLVED
        return fetch_error(reason, error.strerror or "the name has no address")
    if isinstance(error, TimeoutError):
        return fetch_error(Reason.TIMEOUT, "no whole answer in time")
    if isinstance(error, ssl.SSLError):
        return fetch_error(
            Reason.TLS_FAILED, getattr(error, "verify_message", "") or error.reason or "TLS failed"
        )
    if isinstance(error, http.client.InvalidURL | UnicodeError):
        return fetch_error(Reason.BAD_URL, "no URL that can be asked for")
    if isinstance(error, OSError):  # RemoteDisconnected is one, too
        return fetch_error(Reason.CONNECTION_FAILED, error.strerror or "the connection was closed")
    if isinstance(error, http.client.IncompleteRead):
        return fetch_error(Reason.CONNECTION_FAILED, "the connection ended before the body did")
    if isinstance(error, http.client.BadStatusLine | http.client.UnknownProtocol):
        return fetch_error(Reason.BAD_ANSWER, "no HTTP")
    return fetch_error(Reason.BAD_ANSWER, str(error)[:200] or type(error).__name__)
