"""A collection's preview, for people: a few small tables and what looks wrong."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages.collect.preview.preview import Preview
from stages.foreign_text import escape
from stages.units import duration, file_size

HOSTS = 8
"""Greatest hosts that are shown."""


def print_preview(preview: Preview, console: Console | None = None) -> None:
    """Show a preview.

    Args:
        preview: what to show.
        console: where to draw; standard output where None.
    """
    # A pipe has no width; rich would take 80.
    width = None if sys.stdout.isatty() else 120
    console = console or Console(highlight=False, width=width)
    console.print(_sources(preview))
    console.print()
    console.print(_rows(preview))
    if preview.urls:
        console.print()
        console.print(_hosts(preview))
    console.print()
    for line in _cost(preview):
        console.print(_text(line))
    if preview.problems:
        console.print()
        console.print(Text("To look at", style="bold"))
    for problem in preview.problems:
        console.print(_text(f"- {problem}"))


def _sources(preview: Preview) -> Table:
    table = _table("source", "rows>", "captions", "licence>", "columns found")
    for name, source in preview.sources.items():
        captions = ", ".join(f"{column} {share:.0%}" for column, share in source.captions.items())
        cells = (name, f"{source.rows:,}", captions, f"{source.licensed:.0%}", ", ".join(source.columns))
        table.add_row(*map(_text, cells))
    return table


def _rows(preview: Preview) -> Table:
    table = _table("rows>", "")
    counts = [
        (preview.rows, "in all, of which"),
        *((rows, f"refused as they stand: {reason}") for reason, rows in preview.refused.items()),
        (preview.duplicates, "name the picture of an earlier row"),
        (preview.already_collected, "are collected already"),
        (preview.waiting, "were refused before and are not asked again now"),
        (preview.to_copy, "lie in files here and will be read"),
        (preview.to_fetch, f"to fetch: {preview.urls:,} URLs at {preview.forecast.hosts:,} hosts"),
    ]
    for rows, words in counts:
        if rows or "to fetch" in words:
            table.add_row(f"{rows:,}", _text(words))
    return table


def _hosts(preview: Preview) -> Table:
    table = _table("host", "URLs>", "share>", "at least>")
    for host in preview.forecast.greatest[:HOSTS]:
        share = f"{host.urls / preview.urls:.0%}"
        table.add_row(_text(host.host), f"{host.urls:,}", share, duration(host.seconds))
    if preview.forecast.hosts > HOSTS:
        table.add_row(Text(f"and {preview.forecast.hosts - HOSTS:,} more"), "", "", "")
    return table


def _cost(preview: Preview) -> Iterator[str]:
    forecast = preview.forecast
    if preview.urls:
        paced = f"{forecast.slowest} takes longest" if forecast.slowest else "all threads at work"
        known = "measured last time" if forecast.costs.seconds_measured else "a guess"
        each = f"{forecast.costs.seconds:.2g} s an answer ({known})"
        yield f"time   {duration(forecast.seconds)} or more: {paced}, {each}"
        yield "       not in it: Crawl-delays of robots.txt, hosts that ask for patience, further tries"
    known = "measured last time" if forecast.costs.bytes_measured else "a guess"
    each = f" ({file_size(forecast.costs.bytes)} a picture, {known})" if preview.urls else ""
    free = f"; {file_size(preview.free)} are free" if preview.free is not None else ""
    yield f"space  {file_size(forecast.bytes)} at most{each}{free}"


def _text(words: str) -> Text:
    """What a stranger's table calls its columns, without what a terminal or rich would obey."""
    return Text(escape(words, 1000))


def _table(*heads: str) -> Table:
    """Without lines; columns whose head ends in ">" are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head.rstrip(">"), justify="right" if head.endswith(">") else "left")
    return table
