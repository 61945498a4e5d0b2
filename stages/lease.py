"""Leases: who works on a fingerprint, so that nobody else does the same work at the same time.

A lease is the highest of a row of numbered, create-only records below ``leases/STAGE/FINGERPRINT/``. The
holder renews it by adding the next number; whoever finds it released, expired, or held by a process that has
died takes it over in the same way, and of several racers one wins. Leases save work; that results are right
never rests on them.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType

import psutil

from stages.errors import StageError
from stages.seal import sealed, unsealed
from stages.store import Store

SECONDS = 60.0
"""A lease that was not renewed for this long may be taken over. Hosts' clocks may differ by a third of it."""


@dataclass(frozen=True)
class Holder:
    """A process somewhere, and until when (Unix seconds) it holds; 0 once released."""

    token: str
    host: str
    pid: int
    born: float
    until: float


_MINE: set[str] = set()  # tokens of this process: one that is not here is held by nobody any more


@cache
def this_host() -> str:
    """The machine's name, its boot and the process namespace: within these, process ids mean something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        return socket.gethostname()
    return f"{socket.gethostname()} {boot} {namespace}"


class Lease:
    """A held lease; renews itself in a thread until released. A context manager."""

    def __init__(self, store: Store, folder: str, number: int, holder: Holder, seconds: float) -> None:
        self._store, self._folder, self._number, self._holder = store, folder, number, holder
        self._seconds = seconds
        self._lost = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease {folder}", daemon=True)
        self._thread.start()

    def lapsed(self) -> bool:
        """Whether somebody else may have thought that nobody holds it."""
        return self._lost or time.time() > self._holder.until

    def _renew(self) -> None:
        while not self._done.wait(self._seconds / 3):
            if self.lapsed():  # the process was stopped, or the store out of reach, for too long
                return
            try:
                self._write(time.time() + self._seconds)
            except (StageError, OSError, ValueError):
                continue  # the next round may renew in time

    def _write(self, until: float) -> None:
        holder = replace(self._holder, until=until)
        if not _append(self._store, self._folder, self._number + 1, holder):
            self._lost = True
            return
        self._number += 1
        self._holder = holder

    def release(self) -> None:
        """Let the next one in. A store that is out of reach is no error: then the lease ends by itself."""
        self._done.set()
        self._thread.join()
        _MINE.discard(self._holder.token)
        if not self.lapsed():
            with suppress(StageError, OSError, ValueError):
                self._write(0.0)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def acquire(
    store: Store,
    stage: str,
    fingerprint: str,
    waiting: Callable[[Holder], bool],
    seconds: float = SECONDS,
) -> Lease | None:
    """Take the lease of a fingerprint, waiting for as long as somebody else has it.

    Args:
        store: where the lease is recorded.
        stage: of the work.
        fingerprint: of the work.
        waiting: called about once a second while another holder has it; False ends the waiting (say, because
            the result is there now), and None is returned.
        seconds: how long the lease stands without renewal.
    """
    folder = f"leases/{stage}/{fingerprint}"
    me = Holder(uuid.uuid4().hex, this_host(), os.getpid(), psutil.Process().create_time(), 0.0)
    _MINE.add(me.token)
    lease = None
    try:
        lease = _acquire(store, folder, me, waiting, seconds)
    finally:
        if lease is None:
            _MINE.discard(me.token)
    return lease


def _acquire(
    store: Store, folder: str, me: Holder, waiting: Callable[[Holder], bool], seconds: float
) -> Lease | None:
    pause = 0.05
    while True:
        number, holder = _latest(store, folder)
        if holder is None or not _alive(holder):
            mine = replace(me, until=time.time() + seconds)
            if _append(store, folder, number + 1, mine):
                return Lease(store, folder, number + 1, mine, seconds)
            continue  # another racer won: look at what it wrote
        if not waiting(holder):
            return None
        time.sleep(pause)
        pause = min(1.0, 2 * pause)


def held(store: Store) -> list[str]:
    """Folders ("leases/STAGE/FINGERPRINT") of the leases that somebody holds now."""
    folders = {listed.key.rsplit("/", 1)[0] for listed in store.list("leases")}
    latest = {folder: _latest(store, folder)[1] for folder in folders}
    return sorted(folder for folder, holder in latest.items() if holder is not None and _alive(holder))


def _key(folder: str, number: int) -> str:
    return f"{folder}/{number:08d}.json"


def _append(store: Store, folder: str, number: int, holder: Holder) -> bool:
    """Add a record and drop the one before it. False: somebody else added this number first."""
    data = sealed(asdict(holder))
    if not store.create(_key(folder, number), data):
        try:
            # Where an answer was lost, the store's client asked again, and was told of our own record.
            if store.read(_key(folder, number)) != data:
                return False
        except FileNotFoundError:
            return False
    with suppress(StageError, OSError, ValueError):  # a record too many does no harm: the highest counts
        store.delete([_key(folder, number - 1)])
    return True


def _latest(store: Store, folder: str) -> tuple[int, Holder | None]:
    """The highest record; it may be renewed, and deleted, between listing and reading: then look again."""
    while True:
        keys = [listed.key for listed in store.list(folder)]
        if not keys:
            return 0, None
        try:
            return int(keys[-1].rsplit("/", 1)[1][:8]), Holder(
                **unsealed(store.read(keys[-1]), f"{keys[-1]} in {store.url}")
            )
        except FileNotFoundError:
            continue


def _alive(holder: Holder) -> bool:
    if holder.until < time.time():
        return False
    if holder.host != this_host():
        return True  # only the clock can tell
    if holder.pid == os.getpid():
        return holder.token in _MINE
    try:
        process = psutil.Process(holder.pid)
        # The time of birth tells a process from a later one of its id; the clock behind it gets adjusted.
        return abs(process.create_time() - holder.born) < 5 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
