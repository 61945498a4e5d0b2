"""What is deployed on a Prefect server: a run's deployments, schedules and automations, as trees."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort
from prefect.events.schemas.automations import Automation
from prefect.exceptions import ObjectNotFound

from flows.deploy.automations import tree_of
from flows.deploy.merge import Tree
from flows.deploy.plan import Deployed, Project
from flows.deploy.settings import RECORD, RUN_LABEL, schema_digest
from flows.events import STORE

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

WORKING_FOLDER = "prefect.deployments.steps.set_working_directory"
"""The pull step by which a deployment says where it is run, as `prefect deploy` writes it."""
SLUG = "sdflow"
"""Of the schedule that is ours."""
TAG = "sdflow"
"""Of automations that are ours, among those that start a deployment."""
PAGE = 200
"""Deployments in one answer; the server's own limit."""

Plain = Callable[[str, Tree], Tree]
"""(entrypoint, parameters) -> the parameters without what is a default; see `parameters.without_defaults`."""


def deployments_of(client: "SyncPrefectClient", run: str, plain: Plain) -> list[Deployed]:
    """All deployments that `sdflow deploy` made of a run's name, whatever their store.

    Args:
        client: of the server.
        run: name of the run.
        plain: see `Plain`.
    """
    there: list[Deployed] = []
    for offset in range(0, 1_000_000, PAGE):
        page = client.read_deployments(limit=PAGE, offset=offset, sort=DeploymentSort.NAME_ASC)
        there += [
            _deployed(client, item, plain)
            for item in page
            if item.labels.get(RUN_LABEL) == run and STORE in item.labels
        ]
        if len(page) < PAGE:
            break
    return there


def named(client: "SyncPrefectClient", titles: Iterable[str], plain: Plain) -> list[Deployed]:
    """The deployments of these titles ("refresh_dataset/birds-nightly") that there are, whoever made them."""
    there: list[Deployed] = []
    for title in titles:
        try:
            there.append(_deployed(client, client.read_deployment_by_name(title), plain))
        except ObjectNotFound:
            continue
    return there


def _deployed(client: "SyncPrefectClient", item: DeploymentResponse, plain: Plain) -> Deployed:
    schedule = next((schedule for schedule in item.schedules if schedule.slug == SLUG), None)
    automations = _automations(client, item.id)
    ours = [automation for automation in automations if TAG in automation.tags]
    run, store = item.labels.get(RUN_LABEL), item.labels.get(STORE)
    schema = dict(item.parameter_openapi_schema or {})
    record: Tree = schema.pop(RECORD, {})
    tree: Tree = {
        "description": item.description,
        "tags": item.tags,
        "entrypoint": item.entrypoint,
        "folder": _folder(item),
        "work_pool": item.work_pool_name,
        "job_variables": item.job_variables,
        "parameters": plain(item.entrypoint or "", item.parameters),
        "form": schema_digest(schema),
    }
    if item.global_concurrency_limit is not None:
        tree["concurrency_limit"] = item.global_concurrency_limit.limit
    if schedule is not None:
        tree["schedule"] = {**schedule.schedule.model_dump(mode="json"), "active": schedule.active}
    if ours:
        tree["automation"] = tree_of(ours[0], item.id)
    return Deployed(
        id=item.id,
        flow=client.read_flow(item.flow_id).name,
        name=item.name,
        owner=Project(run=str(run), store=str(store)) if run and store else None,
        settings=tree,
        record=record,
        schedule=schedule.id if schedule is not None else None,
        automations=[automation.id for automation in ours],
        others=[automation.name for automation in automations if automation not in ours],
    )


def _automations(client: "SyncPrefectClient", deployment: UUID) -> list[Automation]:
    """Those with an action on a deployment, the oldest first."""
    related = client.read_resource_related_automations(f"prefect.deployment.{deployment}")
    return sorted(related, key=lambda automation: automation.id)  # of version 7: by time


def _folder(item: DeploymentResponse) -> str | None:
    for step in item.pull_steps or []:
        if WORKING_FOLDER in step:
            return step[WORKING_FOLDER].get("directory")
    return None
