"""`sdflow setup`, `deploy`, `undeploy` on a real server, beside another project and changes by hand."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

Command = Callable[..., tuple[int, str, str]]
NIGHTLY, TRAINING = "refresh_dataset/finches-nightly", "train_model/finches-on-refresh"
WHOLE, EVALUATION = "pipeline/finches-whole", "evaluate_model/finches-on-train"


@pytest.fixture
def client(server: str) -> Iterator[Any]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def project(
    sdflow: Command, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The folder of a project with a run of the name "finches", to be in; nothing of it is left deployed."""
    write(tmp_path, pictures)
    monkeypatch.chdir(tmp_path)
    assert sdflow("setup", "--yes")[0] == 0
    yield tmp_path
    for name in ("finches", "finches/small"):
        assert sdflow("undeploy", name, "--yes")[0] == 0


def write(folder: Path, pictures: Path, name: str = "finches", **blocks: Any) -> Path:
    """A run's file."""
    folder.mkdir(exist_ok=True)
    source = {"name": "p", "folder": str(pictures)}
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"name": name, "collect": {"folders": [source]}, **blocks}))
    return path


def deployments(client: Any) -> dict[str, Any]:
    """Title -> all deployments of finches' projects."""
    flows = {flow.id: flow.name for flow in client.read_flows()}
    return {
        f"{flows[item.flow_id]}/{item.name}": item
        for item in client.read_deployments()
        if item.name.startswith("finches")
    }


def automation(client: Any, deployment: Any) -> Any:
    (related,) = client.read_resource_related_automations(f"prefect.deployment.{deployment.id}")
    return related


def test_what_people_changed_stays_and_what_the_file_changed_arrives(
    sdflow: Command, client: Any, project: Path, pictures: Path
):
    from prefect.client.schemas.actions import DeploymentUpdate

    status, out, error = sdflow("deploy", "run.yaml", "--train", "--schedule", "0 3 * * *")
    assert (status, deployments(client)) == (2, {})  # nobody can answer
    assert "--yes" in error
    assert f"+ {NIGHTLY}" in out

    status, out, error = sdflow("deploy", "run.yaml", "--train", "--schedule", "0 3 * * *", "--yes")
    assert status == 0, error
    made = deployments(client)
    assert set(made) == {NIGHTLY, TRAINING, EVALUATION, WHOLE}
    store, source = str(project / "store"), {"name": "p", "folder": str(pictures)}
    shown = {"name": "finches", "store": store, "collect": {"folders": [source]}}
    assert made[NIGHTLY].parameters == {"run": shown}  # no default among them
    trigger = automation(client, made[TRAINING]).trigger
    assert trigger.match.root == {"prefect.resource.id": "datasets/finches", "sdflow.store": store}
    # Without options it is what it was.
    status, out, _ = sdflow("deploy", "run.yaml")
    assert (status, out.splitlines()[-1]) == (0, "nothing to do")

    # By hand: the schedule paused, a parameter and the time limit of a pool edited, an automation off.
    (schedule,) = made[NIGHTLY].schedules
    client.update_deployment_schedule(made[NIGHTLY].id, schedule.id, active=False)
    edited = {"run": {**shown, "filter": {"min_side": 16}}}
    client.update_deployment(
        made[NIGHTLY].id, DeploymentUpdate(parameters=edited, concurrency_limit=2, tags=["mine"])
    )
    client.pause_automation(automation(client, made[TRAINING]).id)

    write(project, pictures, filter={"min_side": 8, "min_words": 2})
    status, out, error = sdflow("deploy", "run.yaml", "--schedule", "0 4 * * *", "--yes")
    assert status == 0, error
    assert "filter.min_side: 16, kept: changed by hand (the file: 8)" in out
    assert "schedule.active: false, kept: changed by hand" in out
    assert "automation.enabled: false, kept: changed by hand" in out
    after = deployments(client)
    assert after[NIGHTLY].parameters["run"]["filter"] == {"min_side": 16, "min_words": 2}
    assert after[WHOLE].parameters["run"]["filter"] == {"min_side": 8, "min_words": 2}
    (schedule,) = after[NIGHTLY].schedules
    assert (schedule.schedule.cron, schedule.active) == ("0 4 * * *", False)
    assert after[NIGHTLY].global_concurrency_limit.limit == 2
    assert after[NIGHTLY].tags == ["mine"]
    assert not automation(client, after[TRAINING]).enabled
    assert {title: item.id for title, item in after.items()} == {
        title: item.id for title, item in made.items()
    }
    assert sdflow("deploy", "run.yaml")[1].splitlines()[-1] == "nothing to do"

    # The chain is taken out; what does not belong to the run stays.
    status, _, error = sdflow("--debug", "deploy", "run.yaml", "--no-train", "--schedule", "none", "--yes")
    assert status == 0, error
    assert set(deployments(client)) == {NIGHTLY, WHOLE}
    assert not deployments(client)[NIGHTLY].schedules
    assert not [one for one in client.read_automations() if "finches" in one.name]


@pytest.mark.matrix
def test_projects_on_one_server_leave_each_other_alone(
    sdflow: Command, client: Any, project: Path, pictures: Path
):
    assert sdflow("deploy", "run.yaml", "--train", "--yes")[0] == 0
    first = deployments(client)

    # Another run of the same name, in another store.
    other = write(project / "other", pictures)
    status, _, error = sdflow("deploy", other, "--store", project / "elsewhere", "--yes")
    assert status == 2
    assert f"{NIGHTLY} is of the run 'finches' in the store" in error
    assert "give this run another name" in error
    assert deployments(client) == first

    # Another name stands beside it, slashes and all.
    small = write(project / "other", pictures, "finches/small")
    assert sdflow("deploy", small, "--store", project / "elsewhere", "--train", "--yes")[0] == 0
    both = deployments(client)
    assert "refresh_dataset/finches:small-nightly" in both
    assert {title: both[title] for title in first} == first
    status, out, _ = sdflow("undeploy", "finches/small", "--yes")
    assert status == 0
    assert "- train_model/finches:small-on-refresh" in out
    assert deployments(client) == first
    assert automation(client, first[TRAINING]).enabled
    assert sdflow("undeploy", small, "--store", project / "elsewhere")[1].startswith("nothing to do")

    # One that somebody made is nobody's to change.
    assert sdflow("undeploy", "run.yaml", "--yes")[0] == 0
    client.create_deployment(first[WHOLE].flow_id, "finches-whole")
    status, _, error = sdflow("deploy", "run.yaml", "--yes")
    assert status == 2
    assert f"a deployment {WHOLE} that sdflow deploy did not make" in error
    assert set(deployments(client)) == {WHOLE}
    client.delete_deployment(deployments(client)[WHOLE].id)


@pytest.mark.matrix
def test_work_pools_are_people_s_once_they_are_there(sdflow: Command, client: Any, project: Path):
    from prefect.client.schemas.actions import WorkPoolUpdate

    from flows.run.lost_runs import LOST

    limit = client.read_work_pool("gpu").concurrency_limit
    try:
        client.update_work_pool("gpu", WorkPoolUpdate(concurrency_limit=3))
        (lost,) = client.read_automations_by_name(LOST)
        client.pause_automation(lost.id)
        status, out, _ = sdflow("setup")
        assert (status, out.splitlines()[-1]) == (0, "nothing to do")
        assert "enabled: false, kept: changed by hand" in out
        assert client.read_work_pool("gpu").concurrency_limit == 3
        assert not client.read_automation(lost.id).enabled
        client.resume_automation(lost.id)
    finally:
        client.update_work_pool("gpu", WorkPoolUpdate(concurrency_limit=limit))

    status, _, error = sdflow("deploy", "run.yaml", "--pool", "gpu=a100", "--yes")
    assert status == 2
    assert "there is no work pool 'a100' (there are: " in error
    assert deployments(client) == {}
    assert sdflow("deploy", "run.yaml", "--pool", "gpu=data", "--yes")[0] == 0
    assert deployments(client)[WHOLE].work_pool_name == "data"
    assert sdflow("deploy", "run.yaml")[1].splitlines()[-1] == "nothing to do"  # it is remembered
