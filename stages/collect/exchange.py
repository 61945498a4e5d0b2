"""One GET, as we want it made: to allowed addresses, within a time and a size, over a connection kept open.

No redirect is followed here, and no proxy is used, whatever the environment says: behind one nobody could
tell which address is connected to.
"""

import http.client
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from importlib.metadata import version
from urllib.parse import urlsplit

from stages.collect.address import forbidden, networks_of
from stages.collect.answer import FetchError, Response, failed
from stages.collect.connection import Connection, Guard, SecureConnection, seconds_left, tls_context
from stages.collect.encoding import decoded
from stages.collect.resolver import Resolve, Resolver
from stages.reasons import Reason

IDLE_SECONDS = 5.0
"""After which a connection is not used again: servers close them about then."""
MAX_IDLE = 256
"""Connections kept open, all hosts together."""
ERROR_BYTES = 65_536
"""What is read of the body of a redirect or an error, so that the connection can be used again."""

_GONE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
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
        self._lock = threading.Lock()
        self._idle: OrderedDict[_Where, list[tuple[float, Connection]]] = OrderedDict()
        self._kept = 0
        self._closed = False

    def get(
        self,
        url: str,
        *,
        networks: tuple[str, ...] = (),
        max_bytes: int,
        until: float,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The answer to a normalised URL, whatever its status.

        Args:
            url: http or https.
            networks: that may be connected to although they are not public.
            max_bytes: of the body, as it comes and decoded; of a body beside a redirect or an error at most
                `ERROR_BYTES` are read.
            until: moment at which it must be over, on the clock of `time.monotonic`.
            headers: of the request, besides the usual ones.

        Raises:
            FetchError: whatever went wrong below the status, in words that are alike when it is alike.
        """
        parts = urlsplit(url)
        assert parts.hostname is not None
        where = (parts.scheme, parts.hostname, parts.port, networks)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            for connection, used in self._connections(where, until):
                try:
                    connection.request("GET", path, headers={**self._headers, **(headers or {})})
                    answer = connection.getresponse()
                except _GONE:
                    connection.close()
                    if used:  # the server had closed it meanwhile: another one, once
                        continue
                    raise
                except BaseException:
                    connection.close()
                    raise
                return self._response(url, where, connection, answer, max_bytes, until)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise _typed(error, networks) from error
        raise AssertionError("the last connection is a new one")

    def close(self) -> None:
        """Close what is kept open."""
        with self._lock:
            self._closed = True  # what is under way is closed when it is over
            kept = [connection for idle in self._idle.values() for _, connection in idle]
            self._idle.clear()
            self._kept = 0
        for connection in kept:
            connection.close()
        if isinstance(self._resolve, Resolver):
            self._resolve.close()

    def _connections(self, where: _Where, until: float) -> Iterator[tuple[Connection, bool]]:
        """One that is kept open, if any, and whether it was used before; then a new one."""
        with self._lock:
            idle = self._idle.get(where)
            since, kept = idle.pop() if idle else (0.0, None)
            self._kept -= kept is not None
        if kept is not None:
            if time.monotonic() - since < IDLE_SECONDS:
                kept.keep_until(until)
                yield kept, True
            else:
                kept.close()
        scheme, host, port, networks = where
        if scheme == "https":
            guard = _guard(networks)
            yield SecureConnection(host, port, guard, self._resolve, until, self._tls), False
        else:
            yield Connection(host, port, _guard(networks), self._resolve, until), False

    def _response(
        self,
        url: str,
        where: _Where,
        connection: Connection,
        answer: http.client.HTTPResponse,
        max_bytes: int,
        until: float,
    ) -> Response:
        address, fine, whole = connection.address, 200 <= answer.status < 300, False
        try:
            most = max_bytes if fine else min(max_bytes, ERROR_BYTES)
            body = b""
            try:
                body = _body(answer, most, until)
                whole = True
            except FetchError:
                if fine:
                    raise
            return Response(url, answer.status, answer.reason, answer.headers, body, address)
        finally:
            answer.close()  # the connection asks again only after that, though the body is read
            if whole and not answer.will_close and connection.sock is not None:
                self._keep(where, connection)
            else:
                connection.close()

    def _keep(self, where: _Where, connection: Connection) -> None:
        with self._lock:
            self._idle.setdefault(where, []).append((time.monotonic(), connection))
            self._idle.move_to_end(where)
            self._kept += 1
            dropped: list[Connection] = []
            while self._kept > (0 if self._closed else MAX_IDLE):
                oldest = next(iter(self._idle))
                dropped += [one for _, one in self._idle[oldest]]
                self._kept -= len(self._idle.pop(oldest))
        for one in dropped:
            one.close()


def _body(answer: http.client.HTTPResponse, max_bytes: int, until: float) -> bytes:
    announced = answer.length
    if announced is not None and announced > max_bytes:
        raise failed(Reason.TOO_MANY_BYTES, f"{announced} bytes announced")
    encoding = ", ".join(answer.headers.get_all("Content-Encoding", []))
    body = b"".join(decoded(_pieces(answer, max_bytes, until), encoding, max_bytes))
    if answer.length:
        raise failed(Reason.CONNECTION_FAILED, "the connection ended before the body did")
    return body


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


def _typed(error: Exception, networks: tuple[str, ...]) -> FetchError:
    if isinstance(error, socket.gaierror):
        lasting = error.errno in _NO_NAME
        reason = Reason.NO_SUCH_NAME if lasting else Reason.NAME_NOT_RESOLVED
        return failed(reason, error.strerror or "the name has no address")
    if isinstance(error, ssl.SSLError) and not isinstance(error, TimeoutError):
        return failed(Reason.TLS_FAILED, getattr(error, "verify_message", "") or error.reason or "TLS failed")
    if isinstance(error, TimeoutError):
        return failed(Reason.TIMEOUT, "no whole answer in time")
    if isinstance(error, http.client.InvalidURL | UnicodeError):
        return failed(Reason.BAD_URL, "no URL that can be asked for")
    if isinstance(error, OSError):  # RemoteDisconnected is one, too
        return failed(Reason.CONNECTION_FAILED, error.strerror or "the connection was closed")
    if isinstance(error, http.client.IncompleteRead):
        return failed(Reason.CONNECTION_FAILED, "the connection ended before the body did")
    return failed(Reason.BAD_ANSWER, type(error).__name__)
