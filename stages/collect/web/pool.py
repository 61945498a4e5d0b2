"""Connections that are kept open from one exchange to the next: most URLs of a table are at few hosts."""

import select
import socket
import threading
import time
from collections import OrderedDict

from stages.collect.web.connection import Connection

IDLE_SECONDS = 5.0
"""After which a connection is not used again: servers close them about then."""
MAX_IDLE = 256
"""Connections kept open, all hosts together."""


class Connections:
    """Connections that are kept open between exchanges; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: OrderedDict[object, list[tuple[float, Connection]]] = OrderedDict()
        self._kept = 0
        self._closed = False

    def take(self, where: object, until: float) -> Connection | None:
        """One that leads there and is fit for an exchange that ends at `until`; None where there is none."""
        while True:
            with self._lock:
                idle = self._idle.get(where)
                if not idle:
                    return None
                since, kept = idle.pop()
                self._kept -= 1
                if not idle:
                    del self._idle[where]
            if time.monotonic() - since < IDLE_SECONDS and _quiet(kept.sock):
                kept.keep_until(until)
                return kept
            kept.close()

    def keep(self, where: object, connection: Connection) -> None:
        """Keep one whose exchange ended as it should."""
        with self._lock:
            self._idle.setdefault(where, []).append((time.monotonic(), connection))
            self._idle.move_to_end(where)
            self._kept += 1
            dropped: list[Connection] = []
            while self._kept > (0 if self._closed else MAX_IDLE):
                _, oldest = self._idle.popitem(last=False)
                self._kept -= len(oldest)
                dropped += [one for _, one in oldest]
        for one in dropped:
            one.close()

    def close(self) -> None:
        """Keep none any more; what is under way is closed when it is over."""
        with self._lock:
            self._closed = True
            kept = [connection for idle in self._idle.values() for _, connection in idle]
            self._idle.clear()
            self._kept = 0
        for one in kept:
            one.close()


def _quiet(sock: socket.socket) -> bool:
    """Whether nothing can be read: neither the end, nor what nobody asked for and the next would be given."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)
