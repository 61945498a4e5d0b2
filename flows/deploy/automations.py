"""Prefect's automations as trees that can be merged, and back.

Actions become a block with a key for each position, so that one of them, or one parameter of one, can be
changed by hand and the rest still follows the file.
"""

from typing import Any, cast
from uuid import UUID

from prefect.events.schemas.automations import AutomationCore

from flows.deploy.merge import Tree

THIS = "this deployment"
"""Stands in a tree for the id of its own deployment, which is not known before that is made."""
_SETS = ("after", "expect", "for_each")
_ACTIONS = ("actions", "actions_on_trigger", "actions_on_resolve")


def tree_of(automation: AutomationCore, deployment: UUID | None = None) -> Tree:
    """What can be merged of an automation.

    Args:
        automation: as the server has it, or as it should be.
        deployment: the one that it belongs to, if any.
    """
    tree = automation.model_dump(mode="json", exclude={"id", "owner_resource"})
    trigger = tree["trigger"]
    for key in _SETS:
        if key in trigger:  # as sets have no order
            trigger[key] = sorted(trigger[key])
    for key in _ACTIONS:
        actions = cast("list[Tree]", tree[key])
        for action in actions:
            if deployment and action.get("deployment_id") == str(deployment):
                action["deployment_id"] = THIS
        tree[key] = {str(number): action for number, action in enumerate(actions, start=1)}
    return tree


def automation_of(tree: Tree, deployment: UUID | None = None) -> AutomationCore:
    """The automation that a tree describes; the inverse of `tree_of`.

    Raises:
        ValueError: what people changed and what a file changed do not make an automation together.
    """
    values: dict[str, Any] = dict(tree)
    for key in _ACTIONS:
        actions = cast("dict[str, Tree]", values.get(key) or {})
        values[key] = [
            {**action, "deployment_id": str(deployment)} if action.get("deployment_id") == THIS else action
            for _, action in sorted(actions.items(), key=lambda item: int(item[0]))
        ]
    return AutomationCore.model_validate(values)
