"""A step of the line as a Prefect task: retries, progress, reports. What is finished shows as Cached."""

from collections.abc import Sequence
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture, wait
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from flows import steps
from flows.ownership import give_way
from flows.report.prefect import report
from flows.report.progress import TaskReporter, notify_failed, notify_finished
from flows.step import Result, RunContext, Step, check_released
from stages.artifacts.reference import resolve
from stages.errors import RetryableError
from stages.lineage.call import ParentRun, parent_run
from stages.redaction import redact_error
from stages.store import open_store

RETRIES = 3


def another_try_may_help(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task is tried again: only where its error says so by its type."""
    return isinstance(state.result(raise_on_failure=False), RetryableError)


def step_task(step: Step) -> Task[..., Any]:
    """A task that runs a step: `.submit(results read..., config=..., context=...)`.

    Prefect's own result cache is off: whether a step is finished is the store's to say, so that a retry, the
    same command again and another machine all see the same.
    """

    def run(*read: Result, config: Any, context: RunContext) -> "Result | State[Result]":
        called = context.prefix + step.name
        reporter = TaskReporter(context.name, step.name, called)
        try:
            store = open_store(context.store)
            inputs = [result.open() for result in read]
            if context.expect is not None:
                check_released(store, context.name, inputs)
            with parent_run(_flow_run()):
                artifact = step.run(store, context.name, config, inputs, reporter, context.expect)
        except Exception as error:
            redact_error(error)  # Prefect logs it with its traceback
            reporter.failed(error)
            notify_failed(called, error)
            raise
        result = Result.of(artifact, context.store)
        reporter.finished(report(artifact, context.name))
        notify_finished(called, result)
        if artifact.cached:
            when = artifact.manifest.ended[:19]
            return Completed(name="Cached", data=result, message=f"finished on {when} as {result}")
        return result

    run.__doc__ = step.stage.__doc__
    return task(
        name=step.name,
        task_run_name=f"{{context.prefix}}{step.name}",  # filled in by Prefect
        version=str(step.stage.version),
        retries=RETRIES,
        retry_delay_seconds=exponential_backoff(5),
        retry_jitter_factor=0.5,
        retry_condition_fn=another_try_may_help,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(run)


def _flow_run() -> ParentRun | None:
    """The flow's run, as events of lineage name what calls a stage; Prefect's own context has it at hand."""
    flow = FlowRunContext.get()
    if flow is None or flow.flow_run is None or flow.flow is None:
        return None
    return ParentRun(flow.flow_run.id, flow.flow.name)


def results(*futures: "PrefectFuture[Any]") -> dict[str, Result]:
    """Wait for steps in the order of the line; their results by stage, or the first error.

    A step beside a failed one is waited for, so that its work is kept.

    Raises:
        Abort: the flow run is no longer this process's own; see `flows.ownership`.
    """
    wait(list(futures))
    give_way()
    finished: Sequence[Result] = [future.result() for future in futures]
    return {result.stage: result for result in finished}


def resolved(store: str, *names: str) -> list[Result]:
    """What references and fingerprints mean now. Flows ask once, at their start."""
    opened = open_store(store, writable=False)
    return [Result.of(resolve(opened, name), store) for name in names]


def run_alone(step: Task[..., Any], config: Any, store: str, name: str, *read: str) -> dict[str, Result]:
    """Run a step outside the line, on what references and fingerprints mean now; its result by stage."""
    return results(step.submit(*resolved(store, *read), config=config, context=RunContext(store, name)))


collect = step_task(steps.COLLECT)
dedup = step_task(steps.DEDUP)
score = step_task(steps.SCORE)
filter_ = step_task(steps.FILTER)
shard = step_task(steps.SHARD)
encode = step_task(steps.ENCODE)
train = step_task(steps.TRAIN)
evaluate = step_task(steps.EVALUATE)
