"""Names looked up within a time limit, and kept for a minute.

The system's resolver cannot be interrupted: a look-up runs in a thread of its own kind, and who waits for it
goes when his time is over.
"""

import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

Address = tuple[Any, Any, int, str, Any]
"""As `socket.getaddrinfo` gives it."""
Resolve = Callable[[str, int, float], Sequence[Address]]
"""(host, port, seconds) -> its addresses; OSError where there is none, TimeoutError where it takes longer."""

KEPT_SECONDS = 60.0
THREADS = 32
MAX_NAMES = 100_000


def system(host: str, port: int) -> Sequence[Address]:
    """The system's answer."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Resolver:
    """Looks names up, each once in a minute, however many threads want it."""

    def __init__(self, look_up: Callable[[str, int], Sequence[Address]] = system) -> None:
        """A resolver that knows nothing yet.

        Args:
            look_up: (host, port) -> addresses; OSError where there is none.
        """
        self._look_up = look_up
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int], tuple[float, Future[Sequence[Address]]]] = OrderedDict()
        self._threads: ThreadPoolExecutor | None = None

    def __call__(self, host: str, port: int, seconds: float) -> Sequence[Address]:
        """The addresses of a host, within so many seconds."""
        if _is_address(host):
            return self._look_up(host, port)
        with self._lock:
            until, found = self._known.get((host, port), (0.0, None))
            if found is None or until < time.monotonic() or (found.done() and found.exception() is not None):
                self._threads = self._threads or ThreadPoolExecutor(THREADS, "resolver")
                found = self._threads.submit(self._look_up, host, port)
                self._known[host, port] = (time.monotonic() + KEPT_SECONDS, found)
                if len(self._known) > MAX_NAMES:
                    self._known.popitem(last=False)
        return found.result(seconds)

    def close(self) -> None:
        """Start no more look-ups; those that hang are left to themselves."""
        with self._lock:
            if self._threads is not None:
                self._threads.shutdown(wait=False, cancel_futures=True)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
