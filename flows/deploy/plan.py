"""What has to be done so that a run's deployments are as they should be: as data, without a server."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from flows.deploy.merge import ABSENT, Change, Tree, is_same, merge
from flows.deploy.settings import Target
from stages.redaction import redact

ENTITIES = ("schedule", "automation")
"""Blocks of a tree that are things of their own on the server, which come and go as a whole: deleted by hand,
they stay away; taken out of what is deployed, they go, whatever of them was changed by hand."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """Whose deployments they are."""

    run: str
    """The run's name."""
    store: str
    """URL of its store, see `settings.absolute_store`."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A deployment as the server has it."""

    id: UUID
    flow: str
    name: str
    owner: Project | None
    """As its labels have it; None: `sdflow deploy` did not make it."""
    settings: Tree
    """As they are now."""
    record: Tree = field(default_factory=dict[str, Any])
    """As they were deployed last."""
    schedule: UUID | None = None
    """The schedule that is ours; others are people's."""
    automations: Sequence[UUID] = ()
    """Those that are ours."""
    others: Sequence[str] = ()
    """Names of automations that start it, too, and are people's."""

    @property
    def title(self) -> str:
        """As Prefect's commands take it."""
        return f"{self.flow}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class DeploymentStep:
    """One deployment of a plan."""

    verb: Literal["create", "update", "keep", "delete"]
    """"keep": nothing to do."""
    title: str
    settings: Tree
    """What the server should have; empty where it is deleted."""
    changes: Sequence[Change] = ()
    target: Target | None = None
    """None where it is deleted."""
    deployed: Deployed | None = None
    """None where it is created."""

    @property
    def updates(self) -> tuple[Change, ...]:
        """The changes that the server gets."""
        return tuple(change for change in self.changes if not change.by_hand)

    @property
    def is_recorded(self) -> bool:
        """Whether the server knows that this is what was deployed last."""
        assert self.target is not None
        return self.deployed is not None and is_same(self.deployed.record, self.target.settings)


def plan(
    targets: Iterable[Target], deployed: Iterable[Deployed], owner: Project
) -> tuple[DeploymentStep, ...]:
    """The steps from what is deployed to what should be.

    Args:
        targets: all deployments that the run should have.
        deployed: what the server has under their names, and all else that is the owner's.
        owner: of the targets.

    Raises:
        ValueError: a deployment of one of the names belongs to another project, or to nobody that we know.
    """
    there = {(item.flow, item.name): item for item in deployed}
    steps: list[DeploymentStep] = []
    for target in targets:
        current = there.pop((target.flow, target.name), None)
        if current is None:
            changes = merge({}, {}, target.settings).changes
            steps.append(
                DeploymentStep(
                    verb="create",
                    title=target.title,
                    settings=target.settings,
                    changes=changes,
                    target=target,
                )
            )
        else:
            _check_owner(current, owner)
            steps.append(_merged(target, current))
    return (*steps, *removal(item for item in there.values() if item.owner == owner))


def removal(deployed: Iterable[Deployed]) -> tuple[DeploymentStep, ...]:
    """The steps that remove deployments, with their automations."""
    return tuple(
        DeploymentStep(verb="delete", title=item.title, settings={}, deployed=item) for item in deployed
    )


def is_done(steps: Iterable[DeploymentStep]) -> bool:
    """Whether there is nothing to do that anybody would see."""
    return all(step.verb == "keep" for step in steps)


def _merged(target: Target, current: Deployed) -> DeploymentStep:
    settings, server, record = dict(target.settings), dict(current.settings), dict(current.record)
    whole: list[Change] = []
    for entity in ENTITIES:
        if entity in record and not (entity in server and entity in settings):
            del record[entity]
            there, wanting = server.pop(entity, ABSENT), settings.pop(entity, ABSENT)
            if there is not wanting:
                whole.append(Change((entity,), there, wanting, by_hand=there is ABSENT))
    tree, unequal = merge(record, server, settings)
    changes = (*unequal, *whole)
    return DeploymentStep(
        verb="update" if any(not change.by_hand for change in changes) else "keep",
        title=target.title,
        settings=tree,
        changes=changes,
        target=target,
        deployed=current,
    )


def _check_owner(current: Deployed, owner: Project) -> None:
    if current.owner is None:
        raise ValueError(
            f"the server has a deployment {current.title} that sdflow deploy did not make; remove it by "
            f"`prefect deployment delete '{current.title}'`, or give the run another name"
        )
    if current.owner != owner:
        raise ValueError(
            f"deployment {current.title} is of the run {current.owner.run!r} in the store "
            f"{redact(current.owner.store)!r}, not in {redact(owner.store)!r}; give this run another "
            "name, or remove those by `sdflow undeploy`"
        )


def recorded(deployed: Iterable[Deployed], owner: Project) -> Mapping[str, Tree]:
    """Title -> what was deployed last, of an owner's deployments."""
    return {item.title: item.record for item in deployed if item.owner == owner}
