"""Whether a flow run is still this process's own. A process that finds that it is not gives way: its stages
stop and keep their work, and the run's state is left as it is.

A run is taken from its process by a person who cancels it, sets its state or retries it; by the automation
for lost runs, where its heartbeats did not arrive; by a worker that starts it anew. Prefect tells a process
of none of these, save that the worker which started it, if its watch has survived, sends a signal where the
run is cancelled. A server that does not answer takes nothing away.
"""

import contextvars
from collections.abc import Generator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Protocol, cast, runtime_checkable
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, PrefectException
from prefect.logging import get_run_logger
from prefect.states import Cancelled

from flows.patience import tried_once
from stages.foreign_text import escape
from stages.redaction import redact

INTERVAL = 15.0
"""Seconds between two questions to the server."""
TIMEOUT = 10.0
"""Seconds that an answer may take; then the server counts as away."""
AGAIN = 1.0
"""Seconds until a surprising answer is asked for again: this process may have been setting a state itself."""


class Ownership:
    """Asks the server in a thread of its own whether a flow run is still this process's."""

    def __init__(self, flow_run: FlowRun, ending: Event) -> None:
        """Begin to ask. To be called where the flow runs, for its settings and its log.

        Args:
            flow_run: as Prefect's engine keeps it: whenever this process sets a state, it stands there.
            ending: set where the run is another's, which stops the stages.
        """
        self._flow_run, self._ending = flow_run, ending
        self._seen: State[Any] | None = None
        self._done = Event()
        self._settings = contextvars.copy_context()
        thread = Thread(target=self._settings.copy().run, args=(self._watch,), daemon=True)
        thread.name = f"ownership of {flow_run.id}"
        thread.start()

    @property
    def flow_run_id(self) -> UUID:
        """The run's."""
        return self._flow_run.id

    def end(self) -> None:
        """Ask no more."""
        self._done.set()

    def foreign_state(self) -> State[Any] | None:
        """The state that somebody else gave the run, of the last time that the server answered; None where it
        is this process's."""
        try:
            with (
                tried_once(),
                get_client(httpx_settings={"timeout": TIMEOUT}, sync_client=True) as client,
            ):
                state = client.read_flow_run(self._flow_run.id).state
        except (httpx.HTTPError, PrefectException, RuntimeError):  # RuntimeError: a server too old or too new
            return self._seen
        own = self._flow_run.state
        self._seen = state if state is not None and own is not None and state.id != own.id else None
        return self._seen

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            if self.foreign_state() is None or self._done.wait(AGAIN):
                continue
            state = self.foreign_state()
            if state is not None and not self._done.is_set():
                get_run_logger().warning("%s; stages stop now, and keep their work", _reason(state))
                self._ending.set()
                return


@runtime_checkable
class Owner(Protocol):
    """A task runner whose flow run is watched; a protocol, since runners stand on this module."""

    ownership: Ownership | None


def give_way() -> None:
    """Leave a flow whose run is no longer this process's own; else do nothing. Called in the flow, once its
    stages are over, so that what comes after them (events, further steps, the run's state) is left undone.

    A run that is being cancelled becomes Cancelled, as no worker may be there to say so.

    Raises:
        Abort: the run is another's. Prefect's engine then sets no state, and its process ends with status 0.
    """
    context = FlowRunContext.get()
    runner = context.task_runner if context else None
    if context is None or not isinstance(runner, Owner) or runner.ownership is None:
        return
    state = runner.ownership.foreign_state()
    if state is None:
        return
    runner.ownership.end()
    if state.is_cancelling():
        client = cast(SyncPrefectClient, context.client)
        stopped = Cancelled(message="Its stages have stopped; what they had done is kept.")
        try:
            client.set_flow_run_state(runner.ownership.flow_run_id, stopped)
        except (httpx.HTTPError, PrefectException) as error:  # the server does it, five minutes later
            get_run_logger().warning("not set to Cancelled: %s", escape(redact(str(error)), 2000))
    raise Abort(f"{_reason(state)}; what is finished is kept, and a retry of the run continues")


@contextmanager
def giving_way() -> Generator[None]:
    """Give way after the block, however it ends; see `give_way`."""
    try:
        yield
    finally:
        give_way()


def _reason(state: State[Any]) -> str:
    name = escape(state.name or state.type.value, 100)
    if state.is_cancelling() or state.is_cancelled():
        return f"this run was cancelled (state {name})"
    if state.is_final() or state.is_paused():
        message = f": {escape(redact(state.message), 300)}" if state.message else ""
        return f"this run was set to {name} by somebody else{message}"
    return f"this run was started again elsewhere (state {name})"
