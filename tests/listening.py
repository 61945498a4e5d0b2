"""Watches where the processes of a test session listen: on the loopback alone.

A port that listens elsewhere is open to whoever reaches the machine, for as long as the test takes; and what
a test opens, a user's command opens, too.
"""

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import psutil

LOOK = 0.25
"""Seconds between two looks."""
SOCK_DIAG = (4, 20)
"""Linux's netlink family and message type for asking about sockets: the system answers in 50 us, where
reading /proc/net/tcp takes it 10 ms, and asking each process more."""


def loopback(address: str) -> bool:
    """Whether only processes of this machine reach a socket that listens there."""
    parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    inner = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (inner or parsed).is_loopback


class Watch:
    """A thread that looks at a process, this one by default, and at all that it has started."""

    def __init__(self, root: psutil.Process | None = None) -> None:
        self.exposed: dict[tuple[int, str, int], str] = {}
        """(process, address, port) -> words about it, of what was seen since the last `refuse`."""
        self._root = root or psutil.Process()
        self._seen: set[int] = set()  # inodes of sockets that were looked at
        self._ignored: set[int] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listening", daemon=True)

    def start(self) -> None:
        """Looks every now and then, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self._thread.join()

    def look(self) -> None:
        """Looks once, now."""
        with self._lock:
            suspects = self._suspects()
            if suspects is not None and not suspects:
                return
            processes = [self._root]
            with suppress(psutil.Error):
                processes += self._root.children(recursive=True)
            for process in processes:
                self._look_at(process)
            self._seen |= suspects or set()

    def refuse(self) -> None:
        """AssertionError: something listened beyond the loopback since the last time."""
        words, self.exposed = sorted(set(self.exposed.values())), {}
        assert not words, f"listens where others than this machine's processes reach it: {'; '.join(words)}"

    @contextmanager
    def ignoring(self, pid: int) -> Generator[None]:
        """Inside, a process may listen where it likes."""
        self._ignored.add(pid)
        yield
        self._ignored.discard(pid)

    def _run(self) -> None:
        while not self._ended.wait(LOOK):
            self.look()

    def _look_at(self, process: psutil.Process) -> None:
        with suppress(psutil.Error):  # it has ended
            for one in process.net_connections("tcp"):
                if one.status != psutil.CONN_LISTEN or loopback(one.laddr.ip):
                    continue
                if process.pid not in self._ignored:
                    command = " ".join(" ".join(process.cmdline()).split())[:200]
                    words = f"process {process.pid} ({command}) on {one.laddr.ip} port {one.laddr.port}"
                    self.exposed[process.pid, one.laddr.ip, one.laddr.port] = words

    def _suspects(self) -> set[int] | None:
        """Inodes of sockets beyond the loopback that were not looked at; None where the system says none."""
        try:
            found = {inode for address, inode in sockets() if not loopback(address)}
        except (AttributeError, OSError):
            return None
        return found - self._seen


def sockets() -> list[tuple[str, int]]:
    """(address, inode) of all TCP sockets that listen on this machine, whoever's they are.

    AttributeError, OSError: the system is not Linux, or does not let us ask."""
    found: list[tuple[str, int]] = []
    family, by_family = SOCK_DIAG
    request, dump, done, error = 1, 0x300, 3, 2  # of linux/netlink.h
    listen = 1 << 10  # of the states in net/tcp_states.h
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as kernel:
        for kind, length in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
            body = struct.pack("=BBBBI48x", kind, socket.IPPROTO_TCP, 0, 0, listen)
            kernel.send(struct.pack("=IHHII", 16 + len(body), by_family, request | dump, 0, 0) + body)
            what, data = 0, b""
            while what != done:
                data = data or kernel.recv(1 << 16)
                size, what = struct.unpack_from("=IH", data)
                if what == error:
                    raise OSError("the system does not say which sockets listen")
                if what != done:  # struct inet_diag_msg: the address at 8, the inode at 68
                    address, (inode,) = data[24 : 24 + length], struct.unpack_from("=I", data, 16 + 68)
                    found.append((socket.inet_ntop(kind, address), inode))
                data = data[(size + 3) & ~3 :]
    return found
