"""`sdflow setup`: work pools and the automation for lost runs, planned and made.

A work pool that exists is people's. The automation is merged like a deployment; what was made of it last
stands in a variable of Prefect's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.actions import VariableCreate, VariableUpdate, WorkPoolCreate
from prefect.events.schemas.automations import Automation

from flows.deploy.automations import automation_of, tree_of
from flows.deploy.merge import ABSENT, Change, Tree, is_same, merge
from flows.run.lost_runs import lost_runs

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

POOLS: dict[str, int | None] = {"data": None, "gpu": 1}
"""Work pool -> flow runs at once; None sets no limit. One training at a time has the GPU."""
FORMER_LIMIT = timedelta(seconds=90)
"""Of the automation as versions made it that recorded nothing: what is still so was not changed by hand."""
RECORD = "sdflow_setup"
"""The variable that holds the automation as it was made last."""


@dataclass(frozen=True, kw_only=True)
class SetupPlan:
    """What a server lacks."""

    pools: Sequence[str]
    """Work pools to make."""
    automation: Tree
    """The automation for lost runs as it should be; empty where people deleted it."""
    changes: Sequence[Change]
    """Of the automation."""
    current: Automation | None
    """The automation as the server has it."""
    target: Tree
    """The automation as this version makes it."""
    is_recorded: bool
    """Whether the server knows that."""

    @property
    def updates(self) -> tuple[Change, ...]:
        """The changes that the server gets."""
        return tuple(change for change in self.changes if not change.by_hand)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do that anybody would see."""
        return not self.pools and not self.updates


def setup_plan(client: "SyncPrefectClient") -> SetupPlan:
    """What a server lacks of pools and automation."""
    there = {pool.name for pool in client.read_work_pools()}
    target = tree_of(lost_runs())
    variable = client.read_variable_by_name(RECORD)
    current = next(iter(client.read_automations_by_name(target["name"])), None)
    record: Any = variable.value if variable else tree_of(lost_runs(FORMER_LIMIT)) if current else {}
    if current is None and record:
        changes = (Change(("name",), ABSENT, target["name"], by_hand=True),)
        tree: Tree = {}
    else:
        tree, changes = merge(record, tree_of(current) if current else {}, target)
    return SetupPlan(
        pools=[name for name in POOLS if name not in there],
        automation=tree,
        changes=changes,
        current=current,
        target=target,
        is_recorded=is_same(record, target),
    )


def apply_setup(client: "SyncPrefectClient", plan: SetupPlan) -> None:
    """Make what a server lacks."""
    for name in plan.pools:
        client.create_work_pool(WorkPoolCreate(name=name, type="process", concurrency_limit=POOLS[name]))
    if plan.updates:
        automation = automation_of(plan.automation)
        if plan.current is None:
            client.create_automation(automation)
        else:
            client.update_automation(plan.current.id, automation)
    if not plan.is_recorded:
        _record(client, plan.target)


def _record(client: "SyncPrefectClient", tree: Tree) -> None:
    if client.read_variable_by_name(RECORD) is None:
        client.create_variable(VariableCreate(name=RECORD, value=tree, tags=["sdflow"]))
    else:
        client.update_variable(VariableUpdate(name=RECORD, value=tree))
