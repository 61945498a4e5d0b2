"""What a run's deployments should be, as trees: from the links of its chain, and from what a person asks for.

A deployment, its schedule and the automation that starts it are one tree, so that they are merged, shown and
recorded as one.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flows.chain import Link
from flows.deploy.merge import Tree
from flows.events import STORE, store_label
from flows.run.lost_runs import ENVIRONMENT
from stages.config.run import Run

SCHEDULED = "nightly"
"""Suffix of the deployment that has the run's schedule."""
NO_SCHEDULE = "none"
"""As a schedule: none, and what there was goes."""
RECORD = "x-sdflow-deployed"
"""Key of a deployment's parameter schema under which its last deployed tree is kept: with the deployment,
written in the same request as its parameters, and handed on to no run, as labels would be."""
RUN_LABEL = "sdflow.run"
"""Label of a deployment: the run's name. With `sdflow.store` it says whose the deployment is."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is chosen of deployments beside the run's config. What is None stays as it was deployed last."""

    schedule: str | None = None
    """Cron expression of the refresh, or `NO_SCHEDULE`."""
    timezone: str | None = None
    """Of the schedule, "Europe/Berlin"; UTC where nothing was ever given."""
    train: bool | None = None
    """Whether refreshes start a training, and this an evaluation."""
    pools: Mapping[str, str] = field(default_factory=dict[str, str])
    """Our word for a work pool ("data", "gpu") -> the work pool to use."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A deployment as it should be."""

    flow: str
    """Prefect's name of the flow."""
    name: str
    """Of the deployment."""
    settings: Tree
    """All that is merged."""
    schema: Tree = field(default_factory=dict[str, Any])
    """JSON Schema of the flow's parameters, for Prefect's form."""

    @property
    def title(self) -> str:
        """As Prefect's commands take it."""
        return f"{self.flow}/{self.name}"


def deployment_name(run: str, suffix: str) -> str:
    """What a run's deployment is called. Prefect allows no "/", and no run's name has a ":"."""
    return f"{run.replace('/', ':')}-{suffix}"


def absolute_store(store: str) -> str:
    """A store's URL as every machine and working folder would spell it; a local folder's absolute path.

    Raises:
        ValueError: a store in memory, of which a worker would have another.
    """
    if store.startswith("memory://"):
        raise ValueError(
            f"store {store!r} is this process's memory, where no worker reads it; name a folder or a bucket"
        )
    return store_label(store)  # which events match by


def schema_digest(schema: Tree) -> str:
    """A short name of a parameter schema: in a diff, "the form changed" is enough."""
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()[:12]


def settings(run: Run, link: Link, *, folder: Path, description: str, schema: Tree) -> Tree:
    """The tree of a link's deployment, without what `chosen` adds.

    Args:
        run: the config, with an absolute store.
        link: of the run's chain.
        folder: in which workers run it, so that relative paths of the config mean the same as here.
        description: of the flow.
        schema: of the flow's parameters.
    """
    tree: Tree = {
        "description": description,
        "tags": ["sdflow", run.name],
        "entrypoint": link.entrypoint,
        "folder": str(folder),
        "work_pool": link.pool,
        "job_variables": {"env": dict(ENVIRONMENT)},
        "parameters": dict(link.parameters),
        "form": schema_digest(schema),
    }
    # No concurrency_limit: its lease does not outlive a server's restart, and Prefect ends the run with it.
    if link.event:
        tree["automation"] = _automation(run, link)
    return tree


def chosen(tree: Tree, suffix: str, options: Options, recorded: Tree) -> Tree:
    """A tree with what a person chose for it, now or when it was deployed last.

    Args:
        tree: of `settings`.
        suffix: of the deployment.
        options: what is chosen now.
        recorded: the tree that was deployed last, for its schedule; empty if none was.

    Raises:
        ValueError: the schedule or the time zone is none.
    """
    word = str(tree["work_pool"])
    tree = {**tree, "work_pool": options.pools.get(word, word)}
    if suffix == SCHEDULED and (schedule := _schedule(options, recorded.get("schedule") or {})):
        tree["schedule"] = schedule
    return tree


def recorded_pools(run: Run, chain: Iterable[Link], records: Mapping[str, Tree]) -> dict[str, str]:
    """Our word for a work pool -> the one that a run was deployed to last.

    Args:
        run: the config.
        chain: its links.
        records: title -> what was deployed last.
    """
    titles = {f"{link.flow}/{deployment_name(run.name, link.suffix)}": link.pool for link in chain}
    return {word: records[title]["work_pool"] for title, word in titles.items() if title in records}


def _schedule(options: Options, recorded: Tree) -> Tree:
    from prefect.server.schemas.schedules import CronSchedule

    cron = options.schedule or recorded.get("cron") or NO_SCHEDULE
    if cron == NO_SCHEDULE:
        if options.timezone:
            raise ValueError(
                f"--timezone {options.timezone} is of a schedule, and there is none; add --schedule"
            )
        return {}
    zone = options.timezone or recorded.get("timezone") or "UTC"
    try:
        ZoneInfo(zone)
    except (ValueError, KeyError, OSError):
        raise ValueError(
            f"--timezone {zone!r} is none that this machine knows; as Europe/Berlin, or UTC"
        ) from None
    try:
        if not cron.startswith("@") and len(cron.split()) != 5:  # a sixth would be of seconds
            raise ValueError(cron)
        schedule = CronSchedule(cron=cron, timezone=zone)
    except ValueError:
        raise ValueError(
            f"--schedule {cron!r} is no cron expression; five fields, as '0 3 * * *', or {NO_SCHEDULE}"
        ) from None
    try:
        asyncio.run(schedule.get_dates(1))
    except ValueError:  # the server's scheduler would stumble over it each time
        raise ValueError(f"--schedule {cron!r} never comes; name a day that there is") from None
    return {**schedule.model_dump(mode="json"), "active": True}


def _automation(run: Run, link: Link) -> Tree:
    """The automation that starts a link's deployment, whose id stands as `automations.THIS`."""
    from uuid import UUID

    from prefect.events.actions import RunDeployment
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    from flows.deploy.automations import tree_of

    nobody = UUID(int=0)
    automation = AutomationCore(
        name=f"sdflow: {run.name}: {link.flow} after {link.event}",
        description=f"Starts {link.flow} of the run {run.name} when {link.reference} has something new.",
        tags=["sdflow", run.name],
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={link.event},
            match=ResourceSpecification({"prefect.resource.id": link.reference, STORE: run.store}),
            threshold=1,
        ),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=nobody,
                parameters=dict(link.event_parameters),
                job_variables=None,
            )
        ],
    )
    return tree_of(automation, nobody)
