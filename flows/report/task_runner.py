"""The task runner of our flows: it lets their stages know when they shall end."""

from threading import Event, Lock
from typing import Any, cast

import httpx
from prefect.context import FlowRunContext
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.event_loops import end_at_exit
from flows.ownership import Ownership
from flows.watchdog import Watchdog
from stages.foreign_text import escape
from stages.redaction import redact


class StoppableTaskRunner(ThreadPoolTaskRunner[Any]):
    """Runs a flow's tasks in threads, and lets them know when the flow is being ended.

    Prefect calls `cancel_all` when a flow is cancelled, terminated or interrupted (and when it is over), then
    waits for the threads. It tells them nothing that a stage could hear, so this does; and it asks the server
    meanwhile whether the run is still this process's own (`flows.ownership`).
    """

    # Made on entry, since a runner is pickled before that.
    ending: Event | None = None
    ownership: Ownership | None = None
    watchdog: Watchdog | None = None

    def __enter__(self) -> "StoppableTaskRunner":
        super().__enter__()
        self.ending, self._starting = Event(), Lock()
        end_at_exit()
        return self

    def submit(self, *args: Any, **kwargs: Any) -> PrefectConcurrentFuture[Any]:
        """As Prefect does; the first task begins the watch, since a runner is entered before its flow run."""
        flow = FlowRunContext.get()
        if flow is not None and flow.flow_run is not None and self.ending is not None:
            with self._starting:  # a study submits from several threads
                self.ownership = self.ownership or Ownership(flow.flow_run, self.ending)
                if flow.flow_run.deployment_id is not None and flow.flow_run.state is not None:
                    # A worker runs it, for whom it has a place in the pool's limit.
                    self.watchdog = self.watchdog or Watchdog(flow.flow_run.id)
                    self.watchdog.note(flow.flow_run.state.id)
        return super().submit(*args, **kwargs)

    def cancel_all(self) -> None:
        """Ask the stages to stop, then do as Prefect does."""
        if self.ownership is not None:
            self.ownership.end()
        if self.ending is not None:
            self.ending.set()
        super().cancel_all()

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        """As Prefect does. An error of the connection is about the run's state here: all others have been
        made a state of."""
        if isinstance(exc_value, httpx.TransportError) and self.ownership is not None:
            self.logger.error(
                "Prefect's server did not take the end of this run (%s). What is finished is kept: once the "
                "server is back, `prefect flow-run retry %s` finds it.",
                escape(redact(f"{type(exc_value).__name__}: {exc_value}"), 300),
                self.ownership.flow_run_id,
            )
        super().__exit__(exc_type, exc_value, traceback)
        if self.watchdog is not None:  # not before the stages have ended, which a signal asks to save
            self.watchdog.end()
            self.watchdog = None


def task_runner() -> TaskRunner[PrefectFuture[Any]]:
    """The task runner of our flows."""
    return cast("TaskRunner[PrefectFuture[Any]]", StoppableTaskRunner())
