"""A web server on loopback whose every answer a test chooses."""

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

Answer = Callable[[BaseHTTPRequestHandler], None]


class Web:
    """Answers by path, at each address of which it gave a URL; counts how often each path was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked[self.path] += 1
                web.agents.add(self.headers["User-Agent"])
                web.answers.get(self.path, status(404))(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:  # clients that hang up are part of the tests
                pass

        self._open = lambda host, port: Server((host, port), Handler)
        self._servers: dict[str, ThreadingHTTPServer] = {}
        self.port = 0
        self._listen("127.0.0.1")

    def _listen(self, host: str) -> None:
        """127.0.0.0/8 is this machine, as other hosts: each has the same port."""
        self._servers[host] = server = self._open(host, self.port)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        if host not in self._servers and host.startswith("127."):
            self._listen(host)
        return f"http://{host}:{self.port}{path}"

    def serve(self, path: str, data: bytes) -> str:
        self.answers[path] = body(data)
        return self.url(path)

    def pictures(self) -> Counter[str]:
        """Path -> how often it was asked for, without what belongs to the site as a whole."""
        sites = ("/robots.txt", "/.well-known/tdmrep.json")
        return Counter({path: times for path, times in self.asked.items() if path not in sites})

    def close(self) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()


def body(data: bytes, length: int | None = -1, **headers: str) -> Answer:
    """The data with status 200; `length` is announced, the true one where -1, none where None."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if length is not None:
            handler.send_header("Content-Length", str(len(data) if length < 0 else length))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def picture(number: int, side: int = 24, format: str = "png") -> bytes:
    """A picture of noise of its own."""
    pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.close()
