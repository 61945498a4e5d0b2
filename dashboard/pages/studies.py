"""Studies: controlled comparisons of trainings, with intervals, and what they leave undecided."""

from dataclasses import dataclass

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from dashboard.page import Page, render
from dashboard.pages.found import contents_of
from dashboard.svg.intervals import draw_intervals
from stages.artifacts.study import StudyCell, StudyColumn, StudyRecord, studies_log, study_numbers
from stages.errors import DamagedError

router = APIRouter()
STUDIES = 100
"""Of the list."""
CASES = 60
"""Of a page."""
ROWS = 40
"""Of a table: the best ones."""
COLUMNS = 12
PLOTTED = 20
"""Rows of a plot: the best ones."""


@dataclass(frozen=True)
class ListedStudy:
    """A study in the list."""

    name: str
    numbers: tuple[int, ...]
    newest: StudyRecord | None
    """None where its last record cannot be read."""
    damage: str

    @property
    def undecided(self) -> int:
        """Questions that it leaves open."""
        return sum(bool(each.undecided) for each in self.newest.decisions) if self.newest else 0


@router.get("/studies")
def studies(request: Request) -> HTMLResponse:
    """Every study that the store has results of."""
    store = contents_of(request).store
    rows: list[ListedStudy] = []
    numbers = study_numbers(store)
    for name in list(numbers)[:STUDIES]:
        try:
            rows.append(
                ListedStudy(
                    name, tuple(numbers[name]), studies_log(store, name).record(numbers[name][-1]), ""
                )
            )
        except (DamagedError, FileNotFoundError) as error:
            rows.append(ListedStudy(name, tuple(numbers[name]), None, str(error)))
    page = Page(
        title="Studies",
        about="Arms of one training compared over seeds, with intervals, and what is not decided.",
        hint="Open a study to see its tables and the models behind them.",
        crumbs=(("Home", "/"),),
    )
    return render(request, "studies.html", page, rows=rows, more=max(0, len(numbers) - STUDIES))


@router.get("/studies/{name:path}")
def study(request: Request, name: str, number: int = 0, first: int = 0) -> HTMLResponse:
    """A study's results.

    Args:
        request: of the page.
        name: of the study.
        number: of its record; 0: the newest.
        first: place of the first case that is shown, from 0.
    """
    contents = contents_of(request)
    numbers = study_numbers(contents.store).get(name, ())
    number = number or max(numbers, default=0)
    if number not in numbers:
        raise HTTPException(404)
    record = studies_log(contents.store, name).record(number)
    first = max(0, first)
    page = Page(
        title=record.title or record.name,
        about=f"What {record.name} came to over {_seeds(record)} seeds, as of {record.time[:10]}.",
        hint="Means stand before their intervals; open a case to see its model.",
        crumbs=(("Home", "/"), ("Studies", "/studies")),
    )
    return render(
        request,
        "study.html",
        page,
        record=record,
        number=number,
        numbers=list(reversed(numbers))[:30],
        show=show,
        interval=interval,
        draw_intervals=draw_intervals,
        plotted=PLOTTED,
        rows=ROWS,
        columns=COLUMNS,
        cases=record.cases[first : first + CASES],
        first=first,
        following=first + CASES if first + CASES < len(record.cases) else 0,
        artifacts=contents.artifacts,
    )


def show(cell: StudyCell | None, column: StudyColumn) -> str:
    """A mean with its interval: "0.450 (0.32-0.58)"; "-" where there is none."""
    if cell is None:
        return "-"
    mean = f"{cell.mean:,.{column.digits}f}"
    ends = interval(cell, column)
    return f"{mean} ({ends})" if ends else mean


def interval(cell: StudyCell, column: StudyColumn) -> str:
    """The ends of an interval: "0.32-0.58"; "" where there is none."""
    if cell.low is None or cell.high is None:
        return ""
    digits = max(0, column.digits - 1)
    return f"{cell.low:,.{digits}f}-{cell.high:,.{digits}f}"


def _seeds(record: StudyRecord) -> int:
    return len({case.seed for case in record.cases})
