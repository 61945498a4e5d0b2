"""What changed from one version to the next, for people."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages.artifacts.artifact import Artifact
from stages.collect.report.diff import Diff, PictureChange
from stages.foreign_text import escape
from stages.redaction import redact
from stages.report.pictures import markdown_table

CHANGE_LABELS = {
    "added": "added",
    "removed": "removed",
    "changed": "other bytes",
    "captions": "other captions",
}
"""Kind of change, as people read it."""


def markdown_diff(artifact: Artifact) -> list[str]:
    """Lines of Markdown on what a collection changed; none where it is the first of its kind."""
    if "evidence/diff.json" not in artifact.files:
        return []
    diff = Diff.from_json(artifact.read("evidence/diff.json"))
    lines = ["## Since the edition before", "", *markdown_table(["change", "pictures"], diff_rows(diff)), ""]
    if diff.examples:
        examples = [
            [CHANGE_LABELS[example.change], example.reason, escape(redact(example.location), 100)]
            for example in diff.examples
        ]
        lines += ["For example:", "", *markdown_table(["change", "reason", "location"], examples), ""]
    return lines


def print_diff(diff: Diff, console: Console | None = None) -> None:
    """Show a diff.

    Args:
        diff: what to show.
        console: where to draw; standard output where None.
    """
    # A pipe has no width; rich would take 80.
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    for name, count in diff_rows(diff):
        table.add_row(f"{count:,}", Text(escape(name)))
    console.print(table)
    if diff.examples:
        console.print()
    for example in diff.examples:
        console.print(Text(_line(example)), soft_wrap=True)


def diff_rows(diff: Diff) -> list[tuple[str, int]]:
    """What a diff counts, in words, with parts of a sum below it; nothing is left out but what is zero."""
    return [
        (name, count) for name, count in _rows(diff) if count or name in ("same bytes", "added", "removed")
    ]


def _rows(diff: Diff) -> Iterator[tuple[str, int]]:
    yield "same bytes", diff.same_bytes
    yield "  with other captions", diff.captions_changed
    yield "other bytes", diff.changed
    yield "added", diff.added
    for reason, count in diff.added_after.items():
        yield f"  before: {reason}", count
    yield "removed", sum(diff.removed.values())
    for reason, count in diff.removed.items():
        yield f"  now: {reason}", count


def _line(change: PictureChange) -> str:
    reason = f" ({change.reason})" if change.reason else ""
    return f"{CHANGE_LABELS[change.change]}{reason}  {change.uid}  {escape(change.location, 5000)}"
