"""A plan as people read it: a line for each deployment, and for each value that changes or that was kept."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

from rich.text import Text

from flows.deploy.merge import ABSENT, Change, Tree
from flows.deploy.plan import DeploymentStep
from flows.deploy.setup import POOLS, SetupPlan
from stages.foreign_text import escape
from stages.redaction import redact

SHOWN = 120
"""Characters of a value that are shown."""
_OF_NEW = ("work_pool", "folder", "concurrency_limit", "parameters", "schedule")
"""What is shown of a new deployment; the rest is the same for all."""
_MARKS = {"create": ("+", "green"), "update": ("~", "yellow"), "keep": ("=", "dim"), "delete": ("-", "red")}


def plan_lines(steps: Iterable[DeploymentStep]) -> Iterator[Text]:
    """A plan's lines for a terminal. URLs are without their secrets."""
    for step in steps:
        mark, style = _MARKS[step.verb]
        yield Text(f"{mark} {escape(step.title)}", style=style)
        for change in step.changes:
            if step.verb != "create" or change.path[0] in _OF_NEW or change.path == ("automation", "name"):
                yield change_line(change)
        if step.verb == "delete":
            assert step.deployed is not None
            yield from (
                Text(f"    left: automation {escape(name)}, made by hand, starts it", style="dim")
                for name in step.deployed.others
            )


def setup_lines(plan: SetupPlan) -> Iterator[Text]:
    """The lines of `sdflow setup`."""
    for name in plan.pools:
        limit = POOLS[name]
        limited = f", {limit} run at a time" if limit else ""
        yield Text(f"+ work pool {name}{limited}", style="green")
    if plan.changes:
        verb = "create" if plan.updates and plan.current is None else "update" if plan.updates else "keep"
        mark, style = _MARKS[verb]
        yield Text(f"{mark} automation {plan.target['name']}", style=style)
        if verb != "create":
            yield from map(change_line, plan.changes)


def change_line(change: Change) -> Text:
    """One value of a diff: what it was, what it becomes, or that it stays."""
    path = escape(".".join(change.path))
    if change.path == ("form",):
        return Text("  ~ form: the flow has other fields now", style="yellow")
    if change.by_hand:
        server = "deleted" if change.server is ABSENT else _value(change.server)
        file = "" if change.file is ABSENT else f" (the file: {_value(change.file)})"
        return Text(f"    {path}: {server}, kept: changed by hand{file}", style="dim")
    if change.server is ABSENT:
        return Text(f"  + {path}: {_value(change.file)}", style="green")
    if change.file is ABSENT:
        return Text(f"  - {path}: {_value(change.server)}", style="red")
    before, after = _value(change.server), _value(change.file)
    if before == after:
        after += " (changed where it is not shown)"
    return Text(f"  ~ {path}: {before} -> {after}", style="yellow")


def _value(value: Any) -> str:
    return escape(json.dumps(_redacted(value), ensure_ascii=False), SHOWN)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {redact(key): _redacted(item) for key, item in cast(Tree, value).items()}
    return value
