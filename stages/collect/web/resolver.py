"""Names looked up within a time limit, and kept for a minute.

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

KEPT_SECONDS = 60.0
FAILURE_KEPT_SECONDS = 5.0
THREADS = 32
MAX_NAMES = 100_000

_Found = tuple[Sequence[Address], "OSError | UnicodeError | None", float]
"""Addresses, or why there are none, and the moment at which that is too old."""


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
        self._known: OrderedDict[tuple[str, int], Future[_Found]] = OrderedDict()
        self._threads: ThreadPoolExecutor | None = None
        self._closed = False

    def __call__(self, host: str, port: int, seconds: float) -> Sequence[Address]:
        """The addresses of a host, within so many seconds."""
        if _is_address(host):
            return self._look_up(host, port)
        with self._lock:
            if self._closed:
                raise OSError("the collection ended")
            found = self._known.get((host, port))
            if found is None or (found.done() and found.result()[2] < time.monotonic()):
                self._threads = self._threads or ThreadPoolExecutor(THREADS, "resolver")
                found = self._known[host, port] = self._threads.submit(self._found, host, port)
                self._known.move_to_end((host, port))
                if len(self._known) > MAX_NAMES:
                    self._known.popitem(last=False)
        try:
            addresses, failure, _ = found.result(seconds)
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

    def _found(self, host: str, port: int) -> _Found:
        try:
            return self._look_up(host, port), None, time.monotonic() + KEPT_SECONDS
        except (OSError, UnicodeError) as error:
            return (), error.with_traceback(None), time.monotonic() + FAILURE_KEPT_SECONDS


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
