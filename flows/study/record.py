"""The record of a study that stays in its store, for the dashboard: the page's tables as data."""

import math

from flows.study.estimates import Estimate
from flows.study.page import MeasuredColumn, columns_of, dropped, method, questions, ranked
from flows.study.results import StudyResults
from stages.artifacts.study import (
    StudyCase,
    StudyCell,
    StudyColumn,
    StudyDecision,
    StudyRecord,
    StudyRow,
    StudyTable,
)


def study_record(results: StudyResults) -> StudyRecord:
    """What a study came to, as it is kept; its time is set when it is recorded."""
    study, columns = results.study, columns_of(results)
    rows = ranked(columns)
    tables = dict.fromkeys(measure.table for measure in study.measures)
    return StudyRecord(
        name=study.name,
        title=study.title or study.name,
        about=study.about,
        method=method(results),
        tables=tuple(
            _table(title, rows, [each for each in columns if each.measure.table == title]) for title in tables
        ),
        decisions=tuple(
            StudyDecision(title, best, tuple(others)) for title, best, others in questions(study, columns)
        ),
        dropped=dropped(results),
        cases=tuple(
            StudyCase(
                variant=case.variant,
                arm=case.arm,
                seed=case.seed,
                share=case.share,
                images=case.images,
                model=case.model,
                evaluation=case.evaluation,
                figures=dict(case.figures),
            )
            for case in results.cases
        ),
    )


def _table(title: str, rows: list[str], columns: list[MeasuredColumn]) -> StudyTable:
    heads = tuple(
        StudyColumn(
            each.title,
            each.measure.digits,
            each.measure.better if each.measure.compared else "",
            each.reference,
        )
        for each in columns
    )
    return StudyTable(
        title,
        heads,
        tuple(StudyRow(row, tuple(_cell(each.cells.get(row), each) for each in columns)) for row in rows),
    )


def _cell(estimate: Estimate | None, column: MeasuredColumn) -> StudyCell | None:
    if estimate is None:
        return None
    if math.isnan(estimate.low) or not column.measure.compared:
        return StudyCell(estimate.mean, None, None)
    return StudyCell(estimate.mean, estimate.low, estimate.high)
