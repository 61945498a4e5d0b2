"""`sdflow deploy` and `sdflow undeploy`, as plans: of a run's config, and of what there is of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.utilities.callables import parameter_schema

from flows.chain import Link, links
from flows.deploy.client import check_pools
from flows.deploy.inventory import deployments_of, named
from flows.deploy.merge import Tree
from flows.deploy.parameters import check_parameters, flow_at, without_defaults
from flows.deploy.plan import DeploymentStep, Project, plan, recorded, removal
from flows.deploy.settings import (
    Options,
    Target,
    absolute_store,
    chosen,
    deployment_name,
    recorded_pools,
    settings,
)
from stages.config.run import Run
from stages.redaction import redact

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def deployment_plan(
    client: "SyncPrefectClient", run: Run, options: Options, folder: Path
) -> tuple[tuple[DeploymentStep, ...], Project]:
    """What has to be done so that a run is deployed, and whose deployments these are.

    Args:
        client: of the server.
        run: the config, with the store's absolute URL.
        options: what is chosen beside it.
        folder: in which workers run it.

    Raises:
        ValueError: a name is another project's, a work pool is missing, an option cannot be, or changes by
            hand and of the file do not fit.
    """
    owner = Project(run=run.name, store=absolute_store(run.store))
    chain = links(run)

    def short(entrypoint: str, parameters: Tree) -> Tree:
        # What a server names is not imported.
        known = any(link.entrypoint == entrypoint for link in chain)
        return without_defaults(entrypoint, parameters) if known else parameters

    there = deployments_of(client, run.name, short)
    records = recorded(there, owner)
    _check_words(options, chain)
    options = replace(options, pools={**recorded_pools(run, chain, records), **options.pools})
    chained = options.train if options.train is not None else any("automation" in r for r in records.values())
    targets = [_target(run, link, options, records, folder) for link in chain if chained or not link.event]
    names = {item.title for item in there}
    there += named(client, (t.title for t in targets if t.title not in names), short)
    steps = plan(targets, there, owner)
    for step in steps:
        if step.target is not None and any(change.by_hand for change in step.changes):
            entrypoint = step.target.settings["entrypoint"]
            check_parameters(entrypoint, step.settings.get("parameters", {}), step.title)
    check_pools(client, (step.settings["work_pool"] for step in steps if step.verb in ("create", "update")))
    return steps, owner


def removal_plan(client: "SyncPrefectClient", name: str, store: str | None) -> tuple[DeploymentStep, ...]:
    """What has to be done so that nothing of a run is deployed any more.

    Args:
        client: of the server.
        name: of the run.
        store: URL of its store; None takes the one that there is.

    Raises:
        ValueError: there are deployments of this name in several stores, and none is named.
    """
    there = deployments_of(client, name, lambda _, parameters: parameters)
    stores = sorted({item.owner.store for item in there if item.owner})
    if store is None and len(stores) > 1:
        listed = ", ".join(map(redact, stores))
        raise ValueError(f"{name!r} is deployed for several stores ({listed}); name one with --store")
    wanting = Project(run=name, store=absolute_store(store) if store else "".join(stores))
    return removal(item for item in there if item.owner == wanting)


def _target(run: Run, link: Link, options: Options, records: Mapping[str, Tree], folder: Path) -> Target:
    flow = flow_at(link.entrypoint)
    schema = parameter_schema(flow).model_dump(exclude_unset=True)
    name = deployment_name(run.name, link.suffix)
    tree = settings(run, link, folder=folder, description=flow.description or "", schema=schema)
    tree["parameters"] = without_defaults(link.entrypoint, link.parameters)
    tree = chosen(tree, link.suffix, options, records.get(f"{link.flow}/{name}", {}))
    return Target(flow=link.flow, name=name, settings=tree, schema=schema)


def _check_words(options: Options, chain: tuple[Link, ...]) -> None:
    words = sorted({link.pool for link in chain})
    for word in options.pools:
        if word not in words:
            raise ValueError(f"--pool {word}=...: a run's work pools are {' and '.join(words)}")
