"""Sending events beside the work: a queue, one thread, and one warning for all that goes wrong.

A stage is neither failed nor kept waiting by whoever gets its events. What a dead host does not take, or a
full queue, is lost, and said once for each process. A process that ends waits a few seconds for what is
queued; one that is killed leaves a START without an end.
"""

import atexit
import logging
import os
import time
from collections.abc import Callable
from queue import Full, Queue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from stages.foreign_text import escape
from stages.redaction import redact

if TYPE_CHECKING:
    from stages.lineage.call import StageEvent
    from stages.lineage.transport import Sender

QUEUED = 1000
"""Events that wait to be sent; a stage has two."""
AT_EXIT = 5.0
"""Seconds that a process which ends waits for what is queued; none once something went wrong."""
LOADING = 30.0
"""Seconds that it waits before that for the client to be imported, which a busy machine takes long for."""
WORDS = 300
"""Characters of what went wrong that are logged."""

log = logging.getLogger("sdflow.lineage")


class Emitter:
    """Sends events in the order in which they come."""

    def __init__(self) -> None:
        self.failed = False
        self._queue: Queue[StageEvent] = Queue(QUEUED)
        self._sender: Sender | None = None
        self._loaded = Event()
        self._lock = Lock()
        Thread(target=self._work, name="openlineage", daemon=True).start()

    def put(self, event: "StageEvent") -> None:
        """Have an event sent; returns at once."""
        try:
            self._queue.put_nowait(event)
        except Full:
            self.warn(f"{QUEUED:,} wait already")

    def flush(self, seconds: float = AT_EXIT) -> bool:
        """Wait until all that was put is sent, or has failed; False after so many seconds."""
        end = time.monotonic() + seconds
        with self._queue.all_tasks_done:
            while self._queue.unfinished_tasks:
                if not self._queue.all_tasks_done.wait(max(0.0, end - time.monotonic())):
                    return False
        return True

    def close(self) -> None:
        """Send what is queued, within some seconds, and end the connection."""
        self._loaded.wait(LOADING)
        if self.flush(0.0 if self.failed else AT_EXIT) and self._sender is not None:
            try:
                self._sender.close(AT_EXIT)
            except Exception as error:  # noqa: BLE001 - the process ends, and its work is done
                self.warn(words_of(error))

    def warn(self, words: str) -> None:
        """Say that events are lost, once for each process."""
        with self._lock:
            first, self.failed = not self.failed, True
        if first:
            log.warning("OpenLineage events are not all sent: %s; the work goes on without", words)

    def _work(self) -> None:
        send: Callable[[StageEvent], None] | None = None
        try:
            send = self._open()
        except Exception as error:  # noqa: BLE001 - whatever a configuration says, stages go on
            self.warn(words_of(error))
        self._loaded.set()
        while True:
            event = self._queue.get()
            try:
                if send is not None:
                    send(event)
            except Exception as error:  # noqa: BLE001 - whatever a catalogue does, stages go on
                self.warn(words_of(error))
            finally:
                self._queue.task_done()

    def _open(self) -> "Callable[[StageEvent], None]":
        # Half a second of imports, paid here, beside the work, and only if somebody asked.
        from stages.lineage.events import run_event
        from stages.lineage.transport import open_sender

        self._sender = sender = open_sender(self.warn)
        return lambda event: sender.emit(run_event(event))


def emit(event: "StageEvent") -> None:
    """Have an event sent by this process's own emitter."""
    _emitter().put(event)


def warn(error: Exception) -> None:
    """Say why events are lost, once for each process."""
    _emitter().warn(words_of(error))


def flush(seconds: float = AT_EXIT) -> bool:
    """Wait until all events of this process are sent, or have failed; False after so many seconds."""
    return os.getpid() not in _emitters or _emitter().flush(seconds)


def words_of(error: Exception) -> str:
    """What went wrong, without secrets. Errors of HTTP libraries quote addresses, keys in them as well, in
    many a form: of these only the type and the status are told."""
    name = type(error).__name__
    if type(error).__module__.partition(".")[0] in ("requests", "urllib3", "httpx2", "httpcore2"):
        status = getattr(getattr(error, "response", None), "status_code", None)
        return f"{name} {status}" if status is not None else name
    return escape(redact(f"{name}: {error}"), WORDS)


_emitters: dict[int, Emitter] = {}
"""By process, as a fork has no thread."""
_LOCK = Lock()


def _emitter() -> Emitter:
    with _LOCK:
        emitter = _emitters.get(os.getpid())
        if emitter is None:
            emitter = _emitters[os.getpid()] = Emitter()
            atexit.register(emitter.close)
        return emitter
