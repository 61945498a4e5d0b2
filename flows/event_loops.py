"""The event loops of Prefect's client, ended before the interpreter is.

Prefect asks the threads of its two loops to stop when the process exits, and waits for neither. While one
of them lives the interpreter leaves everything in memory that its frames reach, DuckDB's types among it; the
binding of these (nanobind) then lists sixty lines of "leaked" objects, in the log of every worker's run.
"""

import atexit
import threading
from functools import cache

from prefect._internal.concurrency.threads import get_global_loop, get_run_sync_loop

WITHIN = 10.0
"""Seconds after which a loop that does not end is left alone."""
_LOOPS = {"GlobalEventLoopThread": get_global_loop, "RunSyncEventLoopThread": get_run_sync_loop}


@cache
def end_at_exit() -> None:
    """Have the loops end with this process; once, however often it is called."""
    atexit.register(_end)


def _end() -> None:
    """Logs and events have been sent by now: Prefect does that before handlers of `atexit` are called."""
    for thread in threading.enumerate():
        if thread.name in _LOOPS:
            _LOOPS[thread.name]().shutdown()
            thread.join(WITHIN)
