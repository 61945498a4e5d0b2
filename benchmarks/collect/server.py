"""A web server on loopback that is faster than what is measured against it, and counts what it is asked.

    python -m benchmarks.collect.server FOLDER --port PORT [--hosts 100] [--latency 0.02] ...

Picture number N is `/N.jpg` on every host, 127.0.0.2 and following: one of 200 base pictures, made distinct
by a comment segment, so that every body differs and none is held in memory twice. No request may have a body.
"""

import argparse
import asyncio
import io
import json
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

BASES = 200
FAILING_SECONDS = 3.0
"""How long a failing host answers 503, from the first request that it gets."""

_PATH = re.compile(rb"GET (\S+) HTTP/1\.[01]\r\n")
_PICTURE = re.compile(r"/(\d{1,9})\.jpg")


def base_picture(number: int) -> bytes:
    """A JPEG of 25 to 60 kB: soft colours with grain, as photographs have."""
    rng = np.random.default_rng(number)
    width, height = int(rng.integers(400, 640)), int(rng.integers(300, 480))
    colours = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((width, height), 3)
    grain = rng.normal(0, 7, (height, width, 1))
    pixels = np.clip(np.asarray(colours, np.float32) + grain, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=75)
    return stream.getvalue()


def base_pictures(folder: Path) -> list[bytes]:
    """The base pictures, made once and kept in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: list[bytes] = []
    for number in range(BASES):
        path = folder / f"{number:03d}.jpg"
        if not path.exists():
            path.write_bytes(base_picture(number))
        pictures.append(path.read_bytes())
    return pictures


class Site:
    """What is served, and what was asked since the last report."""

    def __init__(self, pictures: list[bytes], latency: float, failing: int, broken: int) -> None:
        """The site.

        Args:
            pictures: the base pictures.
            latency: seconds before an answer.
            failing: how many of the hosts fail for `FAILING_SECONDS`, the first ones.
            broken: pictures with numbers below it are answered 503.
        """
        self.latency = latency
        self._pictures = pictures
        self._broken = broken
        self._healed = {f"127.0.0.{2 + number}": -1.0 for number in range(failing)}
        self._asked: Counter[str] = Counter()
        self._since = self._until = 0.0

    def answer(self, host: str, path: str) -> list[bytes]:
        """The answer in pieces, headers first."""
        if path == "/-/report":
            return [self._report()]
        if path == "/-/asked":
            return [_whole(200, "text/plain", b"%d" % self._asked.total())]
        now = time.monotonic()
        self._since, self._until = self._since or now, now
        self._asked[path] += 1
        if path == "/robots.txt":
            return [_whole(200, "text/plain", b"User-agent: *\nDisallow: /private/\n")]
        if host in self._healed:
            if self._healed[host] < 0:
                self._healed[host] = now + FAILING_SECONDS
            if now < self._healed[host]:
                return [_whole(503, "text/plain", b"not now\n")]
        found = _PICTURE.fullmatch(path)
        if found is None:
            return [_whole(404, "text/plain", b"not found\n")]
        number = int(found[1])
        if number < self._broken:
            return [_whole(503, "text/plain", b"not now\n")]
        body = self._pictures[number % BASES]
        comment = b"\xff\xd8\xff\xfe\x00\x0c%010d" % number
        return [_headers(200, "image/jpeg", len(comment) + len(body) - 2), comment, body[2:]]

    def _report(self) -> bytes:
        told = {"asked": self._asked, "seconds": self._until - self._since}
        self._asked, self._since = Counter(), 0.0
        return _whole(200, "application/json", json.dumps(told).encode())


def _headers(status: int, kind: str, length: int) -> bytes:
    return (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'No'}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def _whole(status: int, kind: str, body: bytes) -> bytes:
    return _headers(status, kind, len(body)) + body


class Connection(asyncio.Protocol):
    """One connection, kept until the client closes it or asks for that."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            request, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            found = _PATH.match(request + b"\r\n")
            if found is None:
                self._transport.close()
                return
            last = b"connection: close" in request.lower() or b"HTTP/1.0" in request
            pieces = self._site.answer(self._host, found[1].decode("latin-1"))
            if self._site.latency:
                loop = asyncio.get_running_loop()
                loop.call_later(self._site.latency, self._write, pieces, last)
            else:
                self._write(pieces, last)

    def _write(self, pieces: list[bytes], last: bool) -> None:
        if not self._transport.is_closing():
            self._transport.writelines(pieces)
            if last:
                self._transport.close()


async def serve(site: Site, hosts: int, port: int) -> None:
    """Listen on as many loopback addresses; says so on the output, and ends when it is killed."""
    addresses = [f"127.0.0.{2 + number}" for number in range(hosts)]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(site), addresses, port, backlog=1024)
    print("listening", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of the base pictures")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--failing", type=int, default=0)
    parser.add_argument("--broken", type=int, default=0)
    given = parser.parse_args()
    site = Site(base_pictures(given.folder), given.latency, given.failing, given.broken)
    asyncio.run(serve(site, given.hosts, given.port))


if __name__ == "__main__":
    main()
