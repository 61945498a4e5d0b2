"""A flow run that its process has lost: the stages stop and keep their work, the state is left alone."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import flows.ownership
from flows.report.task_runner import task_runner
from flows.step import Result, RunContext, Step
from flows.tasks import results, step_task
from stages.artifacts.artifact import Funnel
from stages.output import Output, PartResult, PartSpec
from stages.stage import Stats, stage

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


@dataclass(frozen=True, kw_only=True)
class Config:
    size: int = 1


def two_parts(begun: threading.Event, released: threading.Event) -> Step:
    """A step of two parts, of which the second waits until it is released or asked to stop."""

    @stage(version=1, kind="thing")
    def thing(config: Config, out: Output) -> Stats:
        def make(folder: Path, name: str) -> PartResult:
            if name == "second":
                begun.set()
                while not released.wait(0.05):
                    out.check()
            (folder / f"{name}.txt").write_text("made")
            return PartResult(Funnel(1, 1))

        out.parts([PartSpec(name, [name], name) for name in ("first", "second")], make)
        out.write("thing.txt").write_text("made")
        return Stats(Funnel(2, 2))

    return Step(thing)


def flow_of(step: Step, store: Path, ids: list[UUID]) -> Any:
    """A flow that runs a step; its run's id is appended to `ids`."""
    from prefect import flow
    from prefect.runtime import flow_run

    task = step_task(step)

    @flow(task_runner=task_runner())
    def alone() -> dict[str, Result]:
        ids.append(UUID(flow_run.id))
        return results(task.submit(config=Config(), context=RunContext(str(store), "name")))

    return alone


@pytest.fixture
def client(server: str) -> Any:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.ownership, "INTERVAL", 0.2)
    monkeypatch.setattr(flows.ownership, "AGAIN", 0.05)


def states() -> dict[str, tuple[Callable[[], Any], str, str]]:
    """What somebody sets while the stage works, the state afterwards, and what the process says."""
    from prefect import states

    return {
        "cancelled by `prefect flow-run cancel`": (
            lambda: states.State(type=states.StateType.CANCELLING),
            "Cancelled",
            "this run was cancelled (state Cancelling); what is finished is kept, and a retry of the run "
            "continues",
        ),
        "called lost": (
            lambda: states.Crashed(message="its heartbeat was lost"),
            "Crashed",
            "this run was set to Crashed by somebody else: its heartbeat was lost",
        ),
        "started again elsewhere": (
            lambda: states.Running(),
            "Running",
            "this run was started again elsewhere (state Running)",
        ),
    }


CASES = [
    "cancelled by `prefect flow-run cancel`",
    "called lost",
    pytest.param("started again elsewhere", marks=pytest.mark.matrix),
]


@pytest.mark.parametrize("case", CASES)
def test_a_process_gives_way_and_its_parts_are_kept(case: str, client: Any, tmp_path: Path):
    from prefect.exceptions import Abort

    make, state, words = states()[case]
    begun, released, ids = threading.Event(), threading.Event(), list[UUID]()
    alone = flow_of(two_parts(begun, released), tmp_path / "store", ids)

    def somebody() -> None:
        begun.wait()
        client.set_flow_run_state(ids[0], make(), force=True)

    thread = threading.Thread(target=somebody)
    thread.start()
    with pytest.raises(Abort) as end:
        alone()
    thread.join()
    assert words in str(end.value)
    run = client.read_flow_run(ids[0])
    assert run.state.name == state, run.state
    released.set()
    again = alone()["thing"].open()
    assert again.manifest.statistics["parts"] == {"made": 1, "found": 1}


def test_a_run_that_nobody_takes_is_asked_about_and_completes(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A state that the process sets itself is no other's, and a server that answers badly takes nothing."""
    from prefect.client.orchestration import SyncPrefectClient

    begun, released, ids = threading.Event(), threading.Event(), list[UUID]()
    asked, refused = threading.Event(), threading.Event()
    read = SyncPrefectClient.read_flow_run

    def counted(self: SyncPrefectClient, flow_run_id: UUID) -> Any:
        import httpx

        if not threading.current_thread().name.startswith("ownership"):
            return read(self, flow_run_id)
        if not refused.is_set():
            refused.set()
            raise httpx.ConnectError("refused")
        answer = read(self, flow_run_id)
        asked.set()
        return answer

    monkeypatch.setattr(SyncPrefectClient, "read_flow_run", counted)
    alone = flow_of(two_parts(begun, released), tmp_path / "store", ids)

    def release() -> None:
        refused.wait()
        asked.wait()
        released.set()

    thread = threading.Thread(target=release)
    thread.start()
    state = alone(return_state=True)
    thread.join()
    assert state.is_completed()
    assert client.read_flow_run(ids[0]).state.name == "Completed"
