"""One GET, as we want it made: to allowed addresses, within a time and a size, over a connection kept open.

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
from stages.collect.web.answer import FetchError, Response, failed
from stages.collect.web.connection import (
    Connection,
    Guard,
    SecureConnection,
    seconds_left,
    tls_context,
)
from stages.collect.web.encoding import decoded
from stages.collect.web.pool import Connections
from stages.collect.web.resolver import Resolve, Resolver
from stages.reasons import Reason

ERROR_BYTES = 65_536
"""Above which the body beside a redirect or an error is not read for the sake of the connection."""
ERROR_SECONDS = 2.0
"""Likewise."""

_GONE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
_NO_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_Where = tuple[str, str, int | None, tuple[str, ...]]


class Exchanger:
    """Makes GETs; safe to use from many threads."""

    def __init__(
        self,
        *,
        agent: str,
        contact: str = "",
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """An exchanger without connections.

        Args:
            agent: name of the crawler in the User-Agent.
            contact: where a site's owner can reach who runs it.
            resolve: looks names up; the system's resolver where None.
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
        self._connections = Connections()

    def get(
        self,
        url: str,
        *,
        networks: tuple[str, ...] = (),
        max_bytes: int,
        until: float,
        headers: Mapping[str, str] | None = None,
        heed: Callable[[Response], None] | None = None,
    ) -> Response:
        """The answer to a normalised URL, whatever its status.

        Args:
            url: http or https.
            networks: that may be connected to although they are not public.
            max_bytes: of the body, as it comes and decoded. Only that of a 2xx is given.
            until: moment at which it must be over, on the clock of `time.monotonic`.
            headers: of the request, besides the usual ones.
            heed: is shown the answer before its body is read, and raises a FetchError where it is not wanted.

        Raises:
            FetchError: whatever went wrong below the status, in words that are alike when it is alike.
        """
        parts = urlsplit(url)
        assert parts.hostname is not None
        where = (parts.scheme, parts.hostname, parts.port, networks)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            connection, answer = self._ask(where, path, {**self._headers, **(headers or {})}, until)
            head = Response(url, answer.status, answer.reason, answer.headers, b"", connection.address)
            reusable = False
            try:
                if heed is not None:
                    heed(head)
                if not 200 <= answer.status < 300:
                    reusable = _drained(answer, connection, until)
                    return head
                body = _body(answer, max_bytes, until)
                reusable = not answer.will_close
                return replace(head, body=body)
            finally:
                answer.close()  # the connection asks again only after that, though the body is read
                if reusable:
                    self._connections.keep(where, connection)
                else:
                    connection.close()
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise _typed(error) from error

    def close(self) -> None:
        """Close what is kept open."""
        self._connections.close()
        if isinstance(self._resolve, Resolver):
            self._resolve.close()

    def _ask(
        self, where: _Where, path: str, headers: Mapping[str, str], until: float
    ) -> tuple[Connection, http.client.HTTPResponse]:
        """A connection, kept open or new, and the answer over it, its body not yet read."""
        kept = self._connections.take(where, until)
        if kept is not None:
            with suppress(*_GONE):  # the server closed it meanwhile
                return kept, kept.ask(path, headers)
        scheme, host, port, networks = where
        guard = _guard(networks)
        if scheme == "https":
            new = SecureConnection(host, port, guard, self._resolve, until, self._tls)
        else:
            new = Connection(host, port, guard, self._resolve, until)
        return new, new.ask(path, headers)


def _body(answer: http.client.HTTPResponse, max_bytes: int, until: float) -> bytes:
    announced = answer.length
    if announced is not None and announced > max_bytes:
        raise failed(Reason.TOO_MANY_BYTES, f"{announced} bytes announced")
    encoding = ", ".join(answer.headers.get_all("Content-Encoding", []))
    body = b"".join(decoded(_pieces(answer, max_bytes, until), encoding, max_bytes))
    if answer.length:
        raise failed(Reason.CONNECTION_FAILED, "the connection ended before the body did")
    return body


def _drained(answer: http.client.HTTPResponse, connection: Connection, until: float) -> bool:
    """Read the body beside a redirect or an error; whether the connection can be used again."""
    if answer.will_close or (answer.length or 0) > ERROR_BYTES:
        return False
    connection.keep_until(min(until, time.monotonic() + ERROR_SECONDS))
    try:
        for _ in _pieces(answer, ERROR_BYTES, until):
            pass
    except (FetchError, OSError, http.client.HTTPException):
        return False
    return not answer.length


def _pieces(answer: http.client.HTTPResponse, max_bytes: int, until: float) -> Iterator[bytes]:
    size = 0
    while piece := answer.read1(262_144):  # at most one receive each, so that limits are looked at in between
        size += len(piece)
        if size > max_bytes:
            raise failed(Reason.TOO_MANY_BYTES, f"more than {max_bytes} bytes")
        yield piece
        seconds_left(until)


@lru_cache(maxsize=1024)
def _guard(networks: tuple[str, ...]) -> Guard:
    return partial(forbidden, networks=networks_of(networks))


def _typed(error: Exception) -> FetchError:
    if isinstance(error, socket.gaierror):
        lasting = error.errno in _NO_NAME
        reason = Reason.NO_SUCH_NAME if lasting else Reason.NAME_NOT_RESOLVED
        return failed(reason, error.strerror or "the name has no address")
    if isinstance(error, TimeoutError):
        return failed(Reason.TIMEOUT, "no whole answer in time")
    if isinstance(error, ssl.SSLError):
        return failed(Reason.TLS_FAILED, getattr(error, "verify_message", "") or error.reason or "TLS failed")
    if isinstance(error, http.client.InvalidURL | UnicodeError):
        return failed(Reason.BAD_URL, "no URL that can be asked for")
    if isinstance(error, OSError):  # RemoteDisconnected is one, too
        return failed(Reason.CONNECTION_FAILED, error.strerror or "the connection was closed")
    if isinstance(error, http.client.IncompleteRead):
        return failed(Reason.CONNECTION_FAILED, "the connection ended before the body did")
    if isinstance(error, http.client.BadStatusLine | http.client.UnknownProtocol):
        return failed(Reason.BAD_ANSWER, "no HTTP")
    return failed(Reason.BAD_ANSWER, str(error)[:200] or type(error).__name__)
