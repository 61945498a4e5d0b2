"""A connection pool (HTTP keep-alive): connections stay open from one exchange to the next, as most URLs of a
table are at few hosts."""

import select
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable

from stages.collect.web.connection import Connection

IDLE_SECONDS = 5.0
"""After which a connection is not used again: servers close them about then."""
MAX_IDLE = 256
"""Idle connections in the pool, all hosts together."""


class ConnectionPool:
    """Idle connections by where they lead, the least recently used closed first; safe to use from many
    threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: OrderedDict[Hashable, list[tuple[float, Connection]]] = OrderedDict()
        self._size = 0
        self._closed = False

    def take(self, destination: Hashable, until: float) -> Connection | None:
        """A connection to a destination that is fit for an exchange that ends at `until`; None where there is
        none."""
        while True:
            with self._lock:
                idle = self._idle.get(destination)
                if not idle:
                    return None
                since, connection = idle.pop()
                self._size -= 1
                if not idle:
                    del self._idle[destination]
            if time.monotonic() - since < IDLE_SECONDS and _quiet(connection.sock):
                connection.set_deadline(until)
                return connection
            connection.close()

    def put(self, destination: Hashable, connection: Connection) -> None:
        """Keep a connection open whose exchange ended as it should."""
        with self._lock:
            self._idle.setdefault(destination, []).append((time.monotonic(), connection))
            self._idle.move_to_end(destination)
            self._size += 1
            evicted: list[Connection] = []
            while self._size > (0 if self._closed else MAX_IDLE):
                _, oldest = self._idle.popitem(last=False)
                self._size -= len(oldest)
                evicted += [connection for _, connection in oldest]
        for connection in evicted:
            connection.close()

    def close(self) -> None:
        """Close all that is idle; what is under way is closed when it is put back."""
        with self._lock:
            self._closed = True
            connections = [connection for idle in self._idle.values() for _, connection in idle]
            self._idle.clear()
            self._size = 0
        for connection in connections:
            connection.close()


def _quiet(sock: socket.socket) -> bool:
    """Whether nothing can be read: neither the end, nor bytes that the next exchange would take for its
    answer."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)
