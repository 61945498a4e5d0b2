"""A step as a task: tried again only where its error says so, and told to stop when its flow ends."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.report.task_runner import task_runner
from flows.step import RunContext, Step
from flows.tasks import another_try_may_help, results, step_task
from stages.artifacts.artifact import Funnel
from stages.errors import FinalError, RetryableError
from stages.lineage import emitter
from stages.output import Output
from stages.stage import Stats, stage

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


@dataclass(frozen=True, kw_only=True)
class Config:
    size: int = 1


def flaky(errors: list[Exception]) -> Step:
    """A step that raises each of these once, then works."""

    @stage(version=1, kind="thing")
    def thing(config: Config, out: Output) -> Stats:
        if errors:
            raise errors.pop(0)
        out.write("thing.txt").write_text("made")
        return Stats(Funnel(1, 1))

    return Step(thing)


def run(step: Step, context: RunContext) -> tuple[str, int]:
    """Run it in a flow of its own: the final state's name, and how often the task ran."""
    from prefect import flow
    from prefect.client.orchestration import get_client

    task = step_task(step).with_options(retry_delay_seconds=0, retry_condition_fn=another_try_may_help)

    @flow(task_runner=task_runner())
    def alone():
        return results(task.submit(config=Config(), context=context))

    state = alone(return_state=True)
    with get_client(sync_client=True) as client:
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        flow_run = state.state_details.flow_run_id
        assert flow_run
        runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
    return state.name or "", runs[0].run_count


def test_a_retryable_error_is_tried_again_and_a_final_one_is_not(server: str, tmp_path: Path):
    context = RunContext(str(tmp_path / "one"), "name")
    assert run(flaky([RetryableError("reset"), RetryableError("reset")]), context) == ("Completed", 3)
    for number, error in enumerate([ValueError("size=3"), FinalError("no"), OSError(5, "no")]):
        context = RunContext(str(tmp_path / str(number)), "name")
        assert run(flaky([error]), context) == ("Failed", 1)


def test_a_stage_hears_when_its_flow_is_being_ended(server: str, tmp_path: Path):
    from prefect import flow

    begun, heard = threading.Event(), threading.Event()

    @stage(version=1, kind="thing")
    def endless(config: Config, out: Output) -> Stats:
        begun.set()
        while True:  # the test's own limit of time ends it where nobody asks
            if out.stopping():
                heard.set()
            out.check()
            threading.Event().wait(0.1)

    task = step_task(Step(endless))

    @flow(task_runner=task_runner())
    def interrupted():
        task.submit(config=Config(), context=RunContext(str(tmp_path), "name"))
        begun.wait()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert heard.is_set()


def test_the_flows_run_is_the_parent_in_events_of_lineage(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from prefect import flow

    monkeypatch.setenv("SDFLOW_OPENLINEAGE", str(tmp_path / "events.jsonl"))
    task = step_task(flaky([]))

    @flow(task_runner=task_runner())
    def calling():
        return results(task.submit(config=Config(), context=RunContext(str(tmp_path / "store"), "name")))

    state = calling(return_state=True)
    assert emitter.flush(60)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    parents = [event["run"]["facets"]["parent"] for event in events]
    assert len(parents) == 2
    assert {parent["job"]["name"] for parent in parents} == {"calling"}
    assert {parent["run"]["runId"] for parent in parents} == {str(state.state_details.flow_run_id)}
