"""The whole line through Prefect: every stage fails once and is retried; only it and what follows works."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from flows.pipeline import pipeline
from flows.report.progress import shown_on
from flows.step import Result
from flows.steps import STEPS
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import resolve
from stages.config.run import Run
from stages.store import open_store
from tests.flows.api import ask

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

LINE = [stage for stage in STEPS if stage != "encode"]  # the tiny run has no frozen encoders


class Watched:
    """A screen that remembers what steps told it."""

    def __init__(self) -> None:
        self.results: dict[str, Result] = {}
        self.failures: dict[str, str] = {}

    def progress(self, step: str, done: int, total: int, note: str) -> None:
        """Not of interest."""

    def warn(self, step: str, words: str) -> None:
        """Of pictures that are few."""

    def finished(self, step: str, result: Result) -> None:
        self.results[result.stage] = result

    def failed(self, step: str, error: BaseException) -> None:
        self.failures[step] = str(error)

    def cached(self) -> list[str]:
        return [stage for stage in LINE if stage in self.results and self.results[stage].cached]

    def made(self) -> list[str]:
        return [stage for stage in LINE if stage in self.results and not self.results[stage].cached]


@pytest.fixture
def watched() -> Iterator[Watched]:
    screen = Watched()
    with shown_on(screen):
        yield screen


def fail_once(patch: pytest.MonkeyPatch, stage: str, *, after_body: bool) -> None:
    """Let a stage raise, once: before its work, or after all of it, when its parts are recorded."""
    one = STEPS[stage].stage
    body: Callable[..., Any] = one.function
    calls: list[None] = []

    def failing(*arguments: Any) -> Any:
        calls.append(None)
        if len(calls) > 1:
            return body(*arguments)
        if after_body:
            body(*arguments)
        raise ConnectionResetError(104, f"no answer for {stage}")

    patch.setattr(one, "function", failing)


def meet(patch: pytest.MonkeyPatch, *stages: str) -> None:
    """Let stages begin their work only when all of them have been started."""
    begun = {stage: threading.Event() for stage in stages}
    for stage in stages:
        one = STEPS[stage].stage
        body: Callable[..., Any] = one.function

        def meeting(*arguments: Any, stage: str = stage, body: Callable[..., Any] = body) -> Any:
            begun[stage].set()
            assert all(event.wait(300) for event in begun.values())
            return body(*arguments)

        patch.setattr(one, "function", meeting)


def retry(flow_run: UUID, watched: Watched) -> str:
    """What `prefect flow-run retry` does without a deployment, in this process; the final state's name."""
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import Scheduled

    watched.results, watched.failures = {}, {}
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run, Scheduled(), force=True)
        again = client.read_flow_run(flow_run)
    state = run_flow(pipeline, flow_run=again, parameters=again.parameters, return_type="state")
    return state.name  # pyright: ignore


def test_every_stage_fails_once_and_a_retry_does_only_what_is_unfinished(
    server: str, run: Run, watched: Watched, monkeypatch: pytest.MonkeyPatch
):
    meet(monkeypatch, "dedup", "score")  # waits for ever unless they run side by side
    for stage in LINE:
        fail_once(monkeypatch, stage, after_body=stage != "train")

    state = pipeline(run, return_state=True)
    assert state.is_failed()
    assert watched.failures == {"collect": "[Errno 104] no answer for collect"}
    flow_run = state.state_details.flow_run_id
    assert flow_run is not None

    # dedup and score fail together, and are retried together: one attempt fewer than stages.
    finished, failed = [], ["collect"]
    for failing in (["dedup", "score"], ["filter"], ["shard"], ["train"], ["evaluate"]):
        assert retry(flow_run, watched) == "Failed"
        assert sorted(watched.failures) == failing
        assert watched.cached() == finished
        assert watched.made() == failed
        finished, failed = [*finished, *failed], failing

    # The last retry is Prefect's own command, as a person types it.
    command = [sys.executable, "-m", "prefect", "flow-run", "retry", str(flow_run)]
    done = subprocess.run(
        [*command, "--entrypoint", "flows.pipeline.pipeline"],
        env={**os.environ, "PREFECT_API_URL": server},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    store = open_store(run.store)
    made = {stage: artifact for stage in LINE for artifact in [_made(store, run, stage)]}
    # The bodies of these had worked before they failed: their parts were there.
    for stage in ("collect", "dedup", "shard", "evaluate"):
        parts = made[stage].statistics["parts"]
        assert parts["made"] == 0, stage
        assert parts["found"] > 0, stage
    assert made["collect"].funnel.reasons == {"not_an_image": 1, "too_small": 1}
    assert made["filter"].funnel.reasons == {"exact_duplicate": 1}

    states = ask(server, "task_runs/filter", {"flow_runs": {"id": {"any_": [str(flow_run)]}}})
    states.sort(key=lambda one: one["expected_start_time"])
    # Those that never began have made-up names.
    last = {one["name"]: one["state"]["name"] for one in states if one["name"] in LINE}
    assert last == {**dict.fromkeys(LINE, "Cached"), "evaluate": "Completed"}

    # What people see: a table and a summary of each stage, pictures inline; results filed by name.
    artifacts = ask(server, "artifacts/latest/filter", {})
    keys = {one["key"]: one for one in artifacts}
    for stage in LINE:
        assert keys[f"tiny-{stage}-funnel"]["type"] == "table"
        assert keys[f"tiny-{stage}"]["type"] == "markdown"
        for key in (f"tiny-{stage}", f"tiny-{stage}-funnel"):
            assert keys[key]["description"].startswith(f"tiny, {stage}: ")
            assert f"`sdflow show {made[stage].short_name}`" in keys[key]["description"]
        assert len(keys[f"tiny-{stage}"]["data"]) < 400_000
    for stage in ("collect", "dedup", "shard", "train", "evaluate"):
        assert keys[f"tiny-{stage}-progress"]["data"] == 100.0
    for stage in ("collect", "dedup", "filter", "shard", "train", "evaluate"):
        assert "](data:image/png;base64," in keys[f"tiny-{stage}"]["data"]
    for name in ("images", "datasets", "models", "evaluations"):
        assert resolve(store, f"{name}/tiny")

    # The same command again: nothing is done.
    watched.results = {}
    assert pipeline(run, return_state=True).is_completed()
    assert watched.cached() == LINE

    # Another threshold: filter and what follows.
    watched.results = {}
    stricter = replace(run, filter=replace(run.filter, min_words=9))
    state = pipeline(stricter, return_state=True)
    assert state.is_failed()
    assert watched.cached() == ["collect", "dedup", "score"]
    assert watched.made() == ["filter"]
    assert "selection is empty" in watched.failures["shard"]


def _made(store: Any, run: Run, stage: str) -> Artifact:
    from flows.step import finished

    return finished(STEPS, stage, run, store)
