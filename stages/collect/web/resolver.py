"""Host names looked up (DNS) within a time limit, and cached for a minute.

The system's resolver cannot be interrupted: a look-up runs in a thread of its own kind, and who waits for it
goes when his time is over.
"""

import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

Address = tuple[Any, Any, int, str, Any]
"""As `socket.getaddrinfo` gives it."""
Resolve = Callable[[str, int, float], Sequence[Address]]
"""(host, port, seconds) -> its addresses; OSError where there is none, TimeoutError where it takes longer."""

CACHE_SECONDS = 60.0
FAILURE_CACHE_SECONDS = 5.0
THREADS = 32
MAX_NAMES = 100_000

_LookUp = tuple[Sequence[Address], "OSError | UnicodeError | None", float]
"""Addresses, or why there are none, and when that expires, on the clock of `time.monotonic`."""


def system(host: str, port: int) -> Sequence[Address]:
    """The addresses of a host by the system's resolver."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Resolver:
    """A caching DNS resolver: each name is looked up once in a minute, however many threads ask for it."""

    def __init__(self, look_up: Callable[[str, int], Sequence[Address]] = system) -> None:
        """A resolver with an empty cache.

        Args:
            look_up: (host, port) -> addresses; OSError where there is none.
        """
        self._look_up = look_up
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, int], Future[_LookUp]] = OrderedDict()
        self._threads: ThreadPoolExecutor | None = None
        self._closed = False

    def __call__(self, host: str, port: int, seconds: float) -> Sequence[Address]:
        """The addresses of a host, within so many seconds."""
        if _is_address(host):
            return self._look_up(host, port)
        with self._lock:
            if self._closed:
                raise OSError("the collection ended")
            look_up = self._cache.get((host, port))
            if look_up is None or (look_up.done() and look_up.result()[2] < time.monotonic()):
                self._threads = self._threads or ThreadPoolExecutor(THREADS, "resolver")
                look_up = self._cache[host, port] = self._threads.submit(self._resolve, host, port)
                self._cache.move_to_end((host, port))
                if len(self._cache) > MAX_NAMES:
                    self._cache.popitem(last=False)
        try:
            addresses, failure, _ = look_up.result(seconds)
        except CancelledError:
            raise OSError("the collection ended") from None
        if failure is not None:
            raise type(failure)(*failure.args)  # anew: each raise would lengthen the traceback that is kept
        return addresses

    def close(self) -> None:
        """Start no more look-ups; those that hang are left to themselves."""
        with self._lock:
            self._closed = True
            if self._threads is not None:
                self._threads.shutdown(wait=False, cancel_futures=True)

    def _resolve(self, host: str, port: int) -> _LookUp:
        try:
            return self._look_up(host, port), None, time.monotonic() + CACHE_SECONDS
        except (OSError, UnicodeError) as error:
            return (), error.with_traceback(None), time.monotonic() + FAILURE_CACHE_SECONDS


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
