"""A server that is away while a step works: nothing is lost, and the run completes, or finds it cached."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from flows import stage_flows
from flows.evaluate_model import evaluate_model
from flows.events import REFRESHED, emit
from flows.report.task_runner import task_runner
from flows.step import Result, RunContext, Step
from flows.steps import STEPS
from flows.tasks import results, step_task
from flows.train_model import train_model
from stages.artifacts.artifact import Funnel
from stages.config.encode import EncodeConfig
from stages.config.run import Run
from stages.output import Output
from stages.stage import Stats, stage
from tests import frozen
from tests.flows.api import ask
from tests.flows.outage import Relay, behind_relay, wait_for

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

MOMENT = 0.5
"""Seconds that a server is away after a step, or a run's body, is over."""


@dataclass(frozen=True, kw_only=True)
class Config:
    size: int = 1


def test_a_stage_goes_on_and_what_must_arrive_does(server: str, tmp_path: Path):
    """Neither a stage's beginning nor its progress waits for the server: stages bring it back themselves."""
    from prefect import flow, get_run_logger

    context = RunContext(str(tmp_path), "outlived")

    @stage(version=1, kind="thing")
    def thing(config: Config, out: Output) -> Stats:
        relay.close()
        out.progress(1, 2, "half")
        relay.open()
        out.write("thing.txt").write_text("made")
        return Stats(Funnel(2, 2))

    @stage(version=1, kind="thing")
    def later(config: Config, out: Output) -> Stats:
        relay.open()
        out.write("later.txt").write_text("made")
        return Stats(Funnel(2, 2))

    @flow(task_runner=task_runner())
    def outlived() -> dict[str, Result]:
        made = results(step_task(Step(thing)).submit(config=Config(), context=context))
        relay.close()
        made |= results(step_task(Step(later)).submit(config=Config(), context=context))
        get_run_logger().info("said before")
        relay.close()
        threading.Timer(MOMENT, relay.open).start()
        get_run_logger().info("said meanwhile")
        emit(REFRESHED, context, "datasets/outlived", made["thing"], dataset="datasets/outlived@1")
        return made

    with behind_relay(server) as relay:
        state = cast(Any, outlived(return_state=True))
        assert state.is_completed(), state
        assert list(state.result()) == ["thing", "later"]
    run = str(state.state_details.flow_run_id)
    (ended,) = ask(server, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    assert ended["state"]["name"] == "Completed"

    def lines() -> set[str]:
        written = ask(server, "logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})
        return {line["message"].partition(":")[0] for line in written}

    expected = {"said before", "said meanwhile", "progress was not shown"}
    wait_for("the log", lambda: expected <= lines())
    artifacts = ask(server, "artifacts/filter", {"artifacts": {"key": {"like_": "outlived-thing%"}}})
    assert {artifact["key"] for artifact in artifacts} >= {"outlived-thing", "outlived-thing-funnel"}

    def events() -> list[str]:  # written in batches
        question = {"filter": {"resource": {"id": ["datasets/outlived"]}}}
        return [event["payload"]["dataset"] for event in ask(server, "events/filter", question)["events"]]

    assert wait_for("the event", events) == ["datasets/outlived@1"]


def away_during(patch: pytest.MonkeyPatch, name: str, relay: Relay, after: Callable[[], None]) -> None:
    """Let the server be away while a step does its work; what happens afterwards is given."""
    chosen = STEPS[name].stage
    body: Callable[..., Any] = chosen.function

    def refused(*arguments: Any) -> Any:
        relay.close()
        try:
            return body(*arguments)
        finally:
            after()

    patch.setattr(chosen, "function", refused)


def line(run: Run, folder: Path) -> list[tuple[str, Callable[[dict[str, Result]], Any]]]:
    """Every step as a flow of its own, on the results of those before it."""
    frozen.autoencoder(folder / "pipeline" / "vae")
    encoding = EncodeConfig(autoencoder=str(folder / "pipeline"), size=16, device="cpu")
    place = {"name": run.name, "store": run.store}

    def alone(flow: Any, config: Any, *read: str) -> Callable[[dict[str, Result]], Any]:
        return lambda made: flow(
            *[str(made[step]) for step in read], config=config, **place, return_state=True
        )

    return [
        ("collect", alone(stage_flows.collect, run.collect)),
        ("dedup", alone(stage_flows.dedup, run.dedup, "collect")),
        ("score", alone(stage_flows.score, run.score, "collect")),
        ("filter", alone(stage_flows.filter_, run.filter, "collect", "dedup", "score")),
        ("shard", alone(stage_flows.shard, run.shard, "collect", "filter")),
        ("encode", alone(stage_flows.encode, encoding, "shard")),
        ("train", alone(train_model, run.train, "shard")),
        ("evaluate", alone(evaluate_model, run.evaluate, "train")),
    ]


@pytest.mark.matrix
@pytest.mark.parametrize("recovers", [True, False], ids=["recovers", "stays away until the end"])
def test_every_step_outlives_a_server_that_is_away(
    server: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recovers: bool
):
    made: dict[str, Result] = {}
    with behind_relay(server) as relay:

        def later() -> None:
            threading.Timer(MOMENT, relay.open).start()

        for name, start in line(run, tmp_path):
            with monkeypatch.context() as patch:
                away_during(patch, name, relay, relay.open if recovers else later)
                state = start(made)
            assert state.is_completed(), (name, state)
            made |= state.result()
            assert not made[name].cached
        for name, start in line(run, tmp_path):
            assert start(made).result()[name].cached, name
    assert list(made) == list(STEPS)


@pytest.mark.matrix
def test_a_run_whose_end_is_refused_for_good_is_retried_and_finds_all_of_it(
    server: str,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """The client gives up here after two seconds instead of eight minutes. The flow is one that emits no
    event: that would be offered for ten minutes before the run's end."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
    from prefect.states import Scheduled

    name, steps = "shard", dict(line(run, tmp_path))
    made: dict[str, Result] = {}
    for step in list(STEPS)[: list(STEPS).index(name)]:
        made |= steps[step](made).result()
    with behind_relay(server) as relay:
        away_during(monkeypatch, name, relay, lambda: None)
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}), pytest.raises(httpx.ConnectError):
            steps[name](made)
        (words,) = [line for line in caplog.messages if "did not take the end of this run" in line]
        relay.open()
    monkeypatch.undo()
    flow_run_id = UUID(words.rpartition("retry ")[2].split("`")[0])
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Scheduled(), force=True)
        flow_run = client.read_flow_run(flow_run_id)
        state = run_flow(
            stage_flows.shard, flow_run=flow_run, parameters=flow_run.parameters, return_type="state"
        )
        assert cast(Any, state).result()[name].cached
        assert client.read_flow_run(flow_run_id).state.name == "Completed"
