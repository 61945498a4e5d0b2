"""What runs in a store, for `sdflow ls --running`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from flows.cli.store.listing import print_json, print_lines, print_table
from stages.fingerprint import short_hash
from stages.foreign_text import escape
from stages.units import duration, rate

if TYPE_CHECKING:
    from stages.artifacts.status import Status
    from stages.store import Store

NOTE = 120
"""Characters of a stage's own note that are shown."""


def print_running(store: "Store", stage: str, *, as_json: bool) -> None:
    """The stages at work in a store, and what processes left that died.

    Args:
        store: where.
        stage: of this one alone; "" of all.
        as_json: print every field of the statuses, and the seconds that are left.
    """
    from stages.artifacts.status import running

    statuses = [status for status in running(store) if stage in ("", status.stage)]
    if as_json:
        print_json([{**asdict(status), "seconds_left": status.seconds_left} for status in statuses])
        return
    if not statuses:
        print_lines([f"nothing{f' of {stage}' if stage else ''} runs in {store.url}"])
        return
    head = ["work", "run", "host", "done", "speed", "left", "losses", "state"]
    print_table(head, [_row(status) for status in statuses])
    if any(status.stale_since for status in statuses):
        print_lines(
            ["what is stale was left by a process that died: the same run goes on with it, gc sweeps it"]
        )


def _row(status: "Status") -> Sequence[str]:
    losses = status.training.losses if status.training else {}
    left = status.seconds_left
    return [
        f"{status.stage}/{short_hash(status.fingerprint)}",
        status.run,
        status.host,
        _done(status),
        rate(status.per_second) if status.per_second else "",
        duration(left) if left is not None and not status.stale_since else "",
        ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items() if loss is not None),
        _state(status),
    ]


def _done(status: "Status") -> str:
    if not status.done and not status.total:
        return ""
    of = f" of {status.total:,}" if status.total else ""
    return f"{status.done:,}{of} {status.unit}".rstrip()


def _state(status: "Status") -> str:
    if status.stale_since:
        return f"stale since {status.stale_since}"
    warnings = f"{status.warnings} warning{'s' * (status.warnings > 1)}" if status.warnings else ""
    words = str(status.wait) if status.wait else status.note
    return ", ".join(filter(None, [escape(words, NOTE), warnings])) or "at work"
