"""Serves a demo site on loopback, faults and all, and keeps a log of what was asked for."""

import argparse
import mmap
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stages.demo import manners
from stages.demo.site import DemoSite, open_site

_PIECE = 1 << 16


class Event(NamedTuple):
    """A request's beginning or end."""

    time: float
    """Monotonic, seconds."""
    host: str
    """Address that was asked."""
    path: str
    phase: Literal["start", "end"]
    """Between the two the answer is on its way."""


class Reply(NamedTuple):
    """A response of the demo's server, ready to be sent."""

    status: int
    headers: list[tuple[str, str]]
    """All but Content-Length."""
    pieces: Iterable[bytes]
    """The body, as it is sent."""
    length: int
    """Bytes of the body, as announced."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # connections that may wait: a downloader opens hundreds at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: clients that hang up on a drip or a huge body do right."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body of a kept connection waits for an acknowledgement
    wbufsize = -1  # headers and body leave together
    demo: "DemoServer"
    host: str

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        # A path is looked up, never opened: nothing but the site's own pictures can be reached.
        path = self.path.split("?", 1)[0]
        self.demo.note(self.host, path, "start")
        reply = self.demo.reply(path)
        left = reply.length if body else 0
        try:
            self.send_response(reply.status)
            for name, value in (*reply.headers, ("Content-Length", str(reply.length))):
                self.send_header(name, value)
            self.end_headers()
            last = b""
            for piece in reply.pieces if body else ():
                self.wfile.write(last)
                if last:
                    self.wfile.flush()
                left, last = left - len(piece), piece
            if left > 0:
                self.close_connection = True  # a drip, cut short when the server closes
        finally:
            # Before the last bytes leave: whoever has them may ask for more at once.
            self.demo.note(self.host, path, "end")
        self.wfile.write(last)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a demo of 8,000 requests has better to show."""


class DemoServer:
    """A site being served: `with DemoServer(site) as server: ...`.

    It listens on the site's port, which the table's URLs name, at 127.0.0.1, and at 127.0.0.2 if rows are
    there. ValueError where that cannot be had.
    """

    def __init__(self, site: DemoSite) -> None:
        self.site = site
        self._answers = site.answers()
        self._files = manners.site_files(site.seed)
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._log: list[Event] = []
        rows = sum(answer.behaviour == "flapping" for answer in self._answers.values())
        self._flaps = min(manners.FLAPS, rows)  # as many as one round asks for: the next one is well
        self._closed = threading.Event()
        with site.pictures.open("rb") as file:
            self._pictures = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._listeners: list[_Listener] = []
        for host in site.hosts:
            try:
                self._listeners.append(_Listener((host, site.port), _handler(self, host)))
            except OSError as error:
                self._stop_listening()
                raise ValueError(_refused(host, site.port, error)) from error
        self._threads = [_thread(listener) for listener in self._listeners]

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end; the second host has the same port."""
        return f"http://{manners.HOST}:{self.site.port}"

    @property
    def requests(self) -> Counter[str]:
        """Path -> how often it was asked for since the start, unknown paths and refused requests included."""
        with self._lock:
            return Counter(self._requests)

    @property
    def log(self) -> list[Event]:
        """Every request since the start, in the order of what happened."""
        with self._lock:
            return list(self._log)

    def note(self, host: str, path: str, phase: Literal["start", "end"]) -> None:
        """Put an event on the log, and count the request where it begins."""
        with self._lock:
            self._log.append(Event(time.monotonic(), host, path, phase))
            self._requests[path] += phase == "start"

    def reply(self, path: str) -> Reply:
        """The response to a request that has just been counted."""
        if path in self._files:
            return _whole(200, *self._files[path])
        known = self._answers.get(path)
        if known is None:
            return _whole(404)
        with self._lock:
            first = self._requests[path] == 1
            flapping = known.behaviour == "flapping" and self._flaps > 0
            self._flaps -= flapping
        if known.behaviour == "flaky" and first:
            return _whole(500)
        if known.behaviour == "too_many" and first:
            return _whole(429, headers=[("Retry-After", str(manners.RETRY_AFTER_SECONDS))])
        if flapping:
            return _whole(503)
        body = self._pictures[known.offset : known.offset + known.length]
        reply = _whole(known.status, known.content_type, body, known.headers)
        if known.behaviour == "drip":
            return reply._replace(pieces=self._drip(body))
        if known.behaviour == "huge":
            return reply._replace(pieces=_huge(body), length=manners.HUGE_BYTES)
        return reply

    def _drip(self, body: bytes) -> Iterator[bytes]:
        for at in range(len(body)):
            yield body[at : at + 1]
            if self._closed.wait(manners.DRIP_SECONDS):
                return

    def close(self) -> None:
        """Stops listening; may be called twice."""
        self._closed.set()
        for listener in self._listeners:
            listener.shutdown()
        self._stop_listening()
        for thread in self._threads:
            thread.join()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.server_close()

    def __enter__(self) -> "DemoServer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _whole(
    status: int,
    content_type: str = "text/plain",
    body: bytes = b"no picture\n",
    headers: Sequence[tuple[str, str]] = (),
) -> Reply:
    return Reply(status, [("Content-Type", content_type), *headers], [body], len(body))


def _huge(body: bytes) -> Iterator[bytes]:
    yield body
    for left in range(manners.HUGE_BYTES - len(body), 0, -_PIECE):
        yield bytes(min(_PIECE, left))


def _handler(server: DemoServer, host: str) -> type[_Handler]:
    return type("Handler", (_Handler,), {"demo": server, "host": host})


def _thread(listener: _Listener) -> threading.Thread:
    thread = threading.Thread(
        target=listener.serve_forever, kwargs={"poll_interval": 0.05}, name="demo-server", daemon=True
    )
    thread.start()
    return thread


def _refused(host: str, port: int, error: OSError) -> str:
    words = f"port={port}: the demo's server cannot listen on {host} there ({error.strerror}). "
    if host == manners.SECOND_HOST:
        words += f"Where {host} is no address of the machine, as on macOS, make it one: "
        words += f"sudo ifconfig lo0 alias {host}. Else stop"
    else:
        words += "Stop"
    return (
        f"{words} the program that uses the port, or build the site with another port; "
        "the URLs then change, and everything is fetched anew"
    )


def main() -> None:
    """`python -m stages.demo.server FOLDER` serves a built site until it is interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, help="folder that stages.demo.site.build wrote")
    server = DemoServer(open_site(parser.parse_args().folder))
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.close()


if __name__ == "__main__":
    main()
