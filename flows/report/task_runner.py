"""The task runner of our flows: it lets their stages know when they shall end."""

from threading import Event
from typing import Any, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner


class StoppableTaskRunner(ThreadPoolTaskRunner[Any]):
    """Runs a flow's tasks in threads, and lets them know when the flow is being ended.

    Prefect calls `cancel_all` when a flow is cancelled, terminated or interrupted (and when it is over), then
    waits for the threads. It tells them nothing that a stage could hear, so this does.
    """

    ending: Event | None = None  # made on entry, since a runner is pickled before that

    def __enter__(self) -> "StoppableTaskRunner":
        super().__enter__()
        self.ending = Event()
        return self

    def cancel_all(self) -> None:
        """Ask the stages to stop, then do as Prefect does."""
        if self.ending is not None:
            self.ending.set()
        super().cancel_all()


def task_runner() -> TaskRunner[PrefectFuture[Any]]:
    """The task runner of our flows."""
    return cast("TaskRunner[PrefectFuture[Any]]", StoppableTaskRunner())
