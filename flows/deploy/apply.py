"""A plan's steps, done on a server."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.schemas.actions import DeploymentCreate, DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.schedules import SCHEDULE_TYPES
from pydantic import TypeAdapter, ValidationError

from flows.deploy.automations import automation_of
from flows.deploy.inventory import SLUG, WORKING_FOLDER
from flows.deploy.merge import Tree
from flows.deploy.plan import Deployed, DeploymentStep, Project, Target
from flows.deploy.settings import RECORD, RUN_LABEL
from flows.events import STORE

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_SCHEDULE: TypeAdapter[Any] = TypeAdapter(SCHEDULE_TYPES)
_PLAIN = ("description", "tags", "entrypoint", "job_variables", "parameters", "concurrency_limit")
"""Keys of a tree that Prefect has under the same name."""


def apply(client: "SyncPrefectClient", steps: Iterable[DeploymentStep], owner: Project) -> None:
    """Do a plan's steps. Cut short, the same deployment again does the rest.

    Raises:
        ValueError: what people changed by hand and what the file changed make no schedule or automation.
    """
    for step in steps:
        if step.verb == "delete":
            remove(client, [step])
        elif step.verb == "create":
            _create(client, step, owner)
        elif step.verb == "update" or not step.is_recorded:
            _update(client, step)


def remove(client: "SyncPrefectClient", steps: Iterable[DeploymentStep]) -> None:
    """Delete what a plan's steps delete: deployments, after the automations of ours that start them."""
    for step in steps:
        assert step.deployed is not None
        for automation in step.deployed.automations:
            client.delete_automation(automation)
        client.delete_deployment(step.deployed.id)


def _create(client: "SyncPrefectClient", step: DeploymentStep, owner: Project) -> None:
    target, tree = step.target, step.settings
    assert target is not None
    made = DeploymentCreate(
        name=target.name,
        flow_id=client.create_flow_from_name(target.flow),
        labels={RUN_LABEL: owner.run, STORE: owner.store},
        enforce_parameter_schema=True,
        parameter_openapi_schema=target.schema,
        schedules=[_schedule(tree["schedule"])] if "schedule" in tree else [],
        work_pool_name=tree["work_pool"],
        pull_steps=_pull_steps(tree),
        **{key: tree[key] for key in _PLAIN if key in tree},
    )
    # `client.create_deployment` knows no labels.
    response = client.request("POST", "/deployments/", json=made.model_dump(mode="json", exclude_unset=True))
    deployment = UUID(response.json()["id"])
    if "automation" in tree:
        _create_automation(client, deployment, tree["automation"])
    # Recorded last: a schedule or an automation that is recorded and missing counts as deleted by hand.
    client.update_deployment(deployment, DeploymentUpdate(parameter_openapi_schema=_recorded(target)))


def _update(client: "SyncPrefectClient", step: DeploymentStep) -> None:
    target, tree, current = step.target, step.settings, step.deployed
    assert target is not None
    assert current is not None
    changed = {change.path[0] for change in step.updates}
    if "schedule" in changed:
        _update_schedule(client, current, tree.get("schedule"))
    if "automation" in changed:
        _update_automation(client, current, tree.get("automation"))
    values: dict[str, Any] = {key: tree.get(key) for key in _PLAIN if key in changed}
    if "work_pool" in changed:
        values["work_pool_name"] = tree["work_pool"]
    if "folder" in changed:
        values["pull_steps"] = _pull_steps(tree)
    values["parameter_openapi_schema"] = _recorded(target)
    client.update_deployment(current.id, DeploymentUpdate(**values))


def _update_schedule(client: "SyncPrefectClient", current: Deployed, tree: Tree | None) -> None:
    if current.schedule is None:
        if tree is not None:
            client.create_deployment_schedules(current.id, [_schedule(tree)])
    elif tree is None:
        client.delete_deployment_schedule(current.id, current.schedule)
    else:
        schedule = _schedule(tree)
        client.update_deployment_schedule(
            current.id, current.schedule, active=schedule.active, schedule=schedule.schedule
        )


def _update_automation(client: "SyncPrefectClient", current: Deployed, tree: Tree | None) -> None:
    if not current.automations:
        if tree is not None:
            _create_automation(client, current.id, tree)
    elif tree is None:
        client.delete_automation(current.automations[0])
    else:
        client.update_automation(current.automations[0], automation_of(tree, current.id))


def _create_automation(client: "SyncPrefectClient", deployment: UUID, tree: Tree) -> None:
    automation = automation_of(tree, deployment)
    client.create_automation(
        automation.model_copy(update={"owner_resource": f"prefect.deployment.{deployment}"})
    )


def _schedule(tree: Tree) -> DeploymentScheduleCreate:
    values = {key: value for key, value in tree.items() if key != "active"}
    try:
        schedule = _SCHEDULE.validate_python(values)
    except ValidationError as error:
        raise ValueError(
            "what was changed of the schedule by hand and what is deployed now make no schedule together: "
            f"{values}; correct it in Prefect's page of the deployment"
        ) from error
    return DeploymentScheduleCreate(schedule=schedule, active=tree.get("active", True), slug=SLUG)


def _pull_steps(tree: Tree) -> list[dict[str, Any]]:
    return [{WORKING_FOLDER: {"directory": tree["folder"]}}]


def _recorded(target: Target) -> Tree:
    return {**target.schema, RECORD: target.settings}
