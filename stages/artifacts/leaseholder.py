"""LeaseHolder: the process that has a lease, and whether it lives, as far as another process can tell."""

import math
import os
import socket
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from stages.artifacts.seal import unsealed
from stages.store import NumberedLog, Store


@dataclass(frozen=True)
class LeaseHolder:
    """A process somewhere.

    `born` tells it from a later one with its id. `until` is 0 once the lease is released; else Unix seconds
    by the holder's own clock, for people who read the record. `reads` are the artifacts that it reads,
    "STAGE/FINGERPRINT", which retention keeps meanwhile; None: a version that recorded none of
    this wrote it, and nobody knows.
    """

    token: str
    host: str
    pid: int
    born: float
    until: float
    reads: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"{self.host.split()[0]} (process {self.pid})" if self.host else "somebody unknown"

    @classmethod
    def parse(cls, data: bytes, name: str = "a lease") -> "LeaseHolder":
        """A record as it was written. DamagedError: it is another; `name` is what the message calls it."""
        raw = unsealed(data, name)
        reads = raw.pop("reads", None)
        holder = cls(**raw, reads=None if reads is None else tuple(map(str, reads)))
        numbers = (holder.pid, holder.born, holder.until)
        if not all(math.isfinite(number) and number >= 0 for number in numbers) or not holder.host.strip():
            raise ValueError(f"process {holder.pid!r} of {holder.host!r} is none")
        return holder


UNREADABLE = LeaseHolder("", "", 0, 0.0, math.inf)
"""Whoever wrote a record that is damaged: perhaps at work."""

_own: set[str] = set()
_lock = threading.Lock()


def claim(token: str) -> None:
    """Note that a thread of this process has, or is about to take, a lease by this token."""
    with _lock:
        _own.add(token)


def disclaim(token: str) -> None:
    """Note that nobody in this process has a lease by this token any more."""
    with _lock:
        _own.discard(token)


@cache
def this_host() -> str:
    """The machine's name, its boot and the process namespace: within these, process ids mean something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        return socket.gethostname()
    return f"{socket.gethostname()} {boot} {namespace}"


def born(pid: int) -> float:
    """When a process of this host began: clock ticks since the boot, which no setting of the clock changes.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return psutil.Process(pid).create_time()  # not Linux, or gone
    return float(status.rpartition(")")[2].split()[19])


def at_work(holder: LeaseHolder) -> bool | None:
    """Whether a holder lives, as far as this process can tell at once; None where only time will tell."""
    if not holder.until:
        return False
    if holder.host != this_host():
        return None
    if holder.pid == os.getpid():
        return holder.token in _own
    try:
        return born(holder.pid) == holder.born and psutil.Process(holder.pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def lease_log(store: Store, folder: str) -> NumberedLog[LeaseHolder]:
    """The records of one lease, "leases/STAGE/FINGERPRINT"; the highest counts."""
    remedy = ", or delete it if nobody works on that; a holder that is at work supersedes it by itself"
    return NumberedLog(store, folder, "lease", LeaseHolder.parse, remedy)
