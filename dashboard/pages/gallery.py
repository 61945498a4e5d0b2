"""Gallery: any set of an artifact's rows, with their pictures, a page at a time."""

import re
from dataclasses import replace
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from dashboard.catalogue import Contents
from dashboard.lineage.resolution import reference_name
from dashboard.links import artifact_path
from dashboard.page import FRAGMENT, Page, explained, render, render_fragment, words
from dashboard.pictures.cards import cards, cell
from dashboard.pictures.reader import artifact_of, reading
from dashboard.rows import csv_file
from dashboard.rows.csv_file import csv_rows
from dashboard.rows.page import RowPage, count_rows, row_page, table_meant
from dashboard.tables.filter import RowFilter, is_number, tables_of, text_lists
from stages.artifacts.artifact import Artifact
from stages.errors import StageError
from stages.fingerprint import short_hash
from stages.kinds.rejects import REJECTS

router = APIRouter()
COLUMNS = 12
"""Of a table of rows at most, or its page would be too large."""


def row_filter_of(
    table: str = "",
    reason: str = "",
    column: str = "",
    least: str = "",
    most: str = "",
    value: str = "",
    cluster: str = "",
    split: str = "",
    label: str = "",
    words: Annotated[str, Query(max_length=400)] = "",
) -> RowFilter:
    """The filter that a query describes. ValueError: a limit is no number."""
    return RowFilter(
        table=table,
        reason=reason,
        column=column,
        least=_number(least, "least"),
        most=_number(most, "most"),
        value=value,
        cluster=cluster,
        split=split,
        label=label,
        words=words,
    )


QueriedRows = Annotated[RowFilter, Depends(row_filter_of)]


@router.get("/artifacts/{stage}/{fingerprint}/rows")
def rows(
    request: Request,
    stage: str,
    fingerprint: str,
    row_filter: QueriedRows,
    after: str = "",
    view: str = "",
    total: bool = False,
) -> HTMLResponse:
    """The rows that meet the query; with `total` their number, too, and to htmx that alone."""
    contents, reader = reading(request)
    artifact = artifact_of(contents, stage, fingerprint)
    page = _page(contents, artifact, row_filter)
    if artifact.dropped is not None:
        return render(request, "message.html", page, 410, message=str(artifact.dropped))
    if not tables_of(artifact):
        message = f"{artifact.short_name} has no table with a row for each picture."
        return render(request, "message.html", page, message=message)
    try:
        if total and FRAGMENT in request.headers:
            return render_fragment(request, "rows_total.html", total=count_rows(reader, artifact, row_filter))
        matches = row_page(reader, artifact, row_filter, after)
        if total and matches.total is None:
            matches = replace(matches, total=count_rows(reader, artifact, row_filter))
    except StageError as error:
        return render(request, "message.html", page, 500, message=str(error))
    first = [row_filter.column] if row_filter.column else []
    shown = cards(reader, contents, artifact, matches.rows, matches.columns, first)
    pictures = any(card.thumbnail or card.gone for card in shown)
    head = _head(matches, row_filter)
    view = view if view in ("table", "pictures") else ("pictures" if pictures else "table")
    return render(
        request,
        "rows.html",
        page,
        artifact=artifact,
        row_filter=row_filter,
        matches=matches,
        cards=shown,
        view=view,
        choices=_choices(artifact, matches, row_filter),
        head=head,
        cells=[[cell(row[name]) for name in head] for row in matches.rows],
        links=_links(artifact, row_filter, matches, view),
        csv_rows=csv_file.ROWS,
    )


@router.get("/artifacts/{stage}/{fingerprint}/rows.csv")
def rows_file(request: Request, stage: str, fingerprint: str, row_filter: QueriedRows) -> Response:
    """The rows that meet the query as a file to save, without pictures that were taken down."""
    contents, reader = reading(request)
    artifact = artifact_of(contents, stage, fingerprint)
    if artifact.dropped is not None:
        return render(
            request, "message.html", _page(contents, artifact, row_filter), 410, message=str(artifact.dropped)
        )
    lines = csv_rows(reader, contents, artifact, row_filter)
    first = next(lines)  # what is wrong with the question is said before anything is sent
    name = f"{artifact.stage}-{short_hash(artifact.fingerprint)}-{table_meant(artifact, row_filter)}.csv"
    headers = {
        "Content-Disposition": f'attachment; filename="{re.sub(r"[^A-Za-z0-9._-]+", "-", name)}"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(chain([first], lines), 200, headers, "text/csv")


def _page(contents: Contents, artifact: Artifact, row_filter: RowFilter) -> Page:
    name = reference_name(contents, artifact)
    meant = [words(row_filter.reason)] if row_filter.reason else []
    meant += (
        [f"{row_filter.column} from {_limit(row_filter.least)} to {_limit(row_filter.most)}"]
        if row_filter.column
        else []
    )
    meant += [
        f"{name} {getattr(row_filter, name)}"
        for name in ("cluster", "split", "label")
        if getattr(row_filter, name)
    ]
    meant += [f"captions with {row_filter.words}"] if row_filter.words else []
    what = "; ".join(meant) or (words(row_filter.table) if row_filter.table else "rows that it kept")
    meaning = explained(row_filter.reason)
    about = "Rows of this result that meet what is asked below, in the order of their uids."
    if meaning:
        about = (
            f"Rows that {words(artifact.stage)} left out. {words(row_filter.reason).capitalize()}: {meaning}."
        )
    return Page(
        title=f"{name}: {what}",
        about=about,
        hint="Open a picture to read its whole story; change the question to see other rows.",
        crumbs=(("Home", "/"), (name, artifact_path(artifact))),
    )


def _choices(artifact: Artifact, matches: RowPage, row_filter: RowFilter) -> dict[str, Any]:
    """What the form offers, by what the table's columns are."""
    columns = matches.columns
    return {
        "tables": tables_of(artifact),
        "reasons": artifact.funnel.ranked_reasons() if artifact.has_table(REJECTS.table) else [],
        "columns": [
            name for name, kind in columns.items() if is_number(kind) or kind in ("VARCHAR", "BOOLEAN")
        ],
        "texts": [name for name in ("cluster", "split") if name in columns],
        "labels": bool(text_lists(columns, "value")),
        "words": bool(text_lists(columns, "text")),
    }


def _head(matches: RowPage, row_filter: RowFilter) -> list[str]:
    """Columns of the table view: the uid first, then those of which some row says what the title does not."""
    names = [name for name in matches.columns if any(row[name] not in (None, "", []) for row in matches.rows)]
    hidden = ("file", "offset", "length", *(["reason"] if row_filter.reason else []))
    return [name for name in names if name not in hidden][:COLUMNS]


def _links(artifact: Artifact, row_filter: RowFilter, matches: RowPage, view: str) -> dict[str, str]:
    def link(**changes: object) -> str:
        return artifact_path(artifact, "rows", row_filter.query(**changes))

    other = "table" if view == "pictures" else "pictures"
    links = {
        "view": link(view=other),
        "total": link(total="true"),
        "csv": artifact_path(artifact, "rows.csv", row_filter.query()),
    }
    if matches.previous is not None:
        links["previous"] = link(after=matches.previous, view=view)
    if matches.following:
        links["next"] = link(after=matches.following, view=view)
    return links


def _number(text: str, name: str) -> float | None:
    """A limit of a form, where it is filled in."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, as 0.25, and is {text!r}") from None


def _limit(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"
