"""Serves a demo site on loopback, faults and all, and counts what was asked for."""

import argparse
import mmap
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stages.demo.site import HOST, DemoSite, open_site


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # connections that may wait: a downloader opens hundreds at once


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body of a kept connection waits for an acknowledgement
    wbufsize = -1  # headers and body leave together
    demo: "DemoServer"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        # A path is looked up, never opened: nothing but the site's own pictures can be reached.
        status, kind, data = self.demo.answer(self.path.split("?", 1)[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a demo of 8,000 requests has better to show."""


class DemoServer:
    """A site being served: `with DemoServer(site) as server: ...`.

    It listens on 127.0.0.1 and the site's port, which the table's URLs name. ValueError where that is taken.
    """

    def __init__(self, site: DemoSite) -> None:
        self.site = site
        self._answers = site.answers()
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        with site.pictures.open("rb") as file:
            self._pictures = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        handler = type("Handler", (_Handler,), {"demo": self})
        try:
            self._listener = _Listener((HOST, site.port), handler)
        except OSError as error:
            raise ValueError(
                f"port={site.port}: the demo's server cannot listen on {HOST} there ({error.strerror}). "
                "Stop the program that uses the port, or build the site with another port; "
                "the URLs then change, and everything is fetched anew"
            ) from error
        self._thread = threading.Thread(
            target=self._listener.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="demo-server",
            daemon=True,
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{HOST}:{self.site.port}"

    @property
    def requests(self) -> Counter[str]:
        """Path -> how often it was asked for since the start, unknown paths and refused requests included."""
        with self._lock:
            return Counter(self._requests)

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """(status, content type, body) for a path; counts the request."""
        with self._lock:
            self._requests[path] += 1
            first = self._requests[path] == 1
        known = self._answers.get(path)
        if known is None:
            return 404, "text/plain", b"not found\n"
        if known.flaky and first:
            return 500, "text/plain", b"try again\n"
        return 200, known.content_type, self._pictures[known.offset : known.offset + known.length]

    def close(self) -> None:
        """Stops listening; may be called twice."""
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()

    def __enter__(self) -> "DemoServer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


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
