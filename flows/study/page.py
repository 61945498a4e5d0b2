"""The page of a study: tables in Markdown between two marks of a page, and a plot beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.study.config import MeasureConfig, StudyConfig
from flows.study.estimates import Estimate, estimate, rivals
from flows.study.results import StudyResults

BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"
"""What stands between them is written anew each time; the rest of the page is its authors'."""


@dataclass(frozen=True)
class MeasuredColumn:
    """A measure of an arm, for each variant; of each arm where there are no variants."""

    measure: MeasureConfig
    title: str
    arm: str
    """Title of the arm; unused where arms are rows."""
    cells: Mapping[str, Estimate]
    """By the title of the row; a row without one has not finished, or was dropped."""
    reference: float | None


def check_page(path: Path) -> None:
    """ValueError: a study cannot be written there; to be checked before anything that takes long."""
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}; make it first")
    if path.exists() and not (BEGIN in (text := path.read_text(encoding="utf-8")) and END in text):
        raise ValueError(f"{path} has no lines {BEGIN} and {END}, between which the study belongs")


def write_page(path: Path, results: StudyResults) -> None:
    """Put tables and plot into a page; plot and results lie beside it, as ".png" and ".json".

    Args:
        path: of a Markdown page; one that is not there begins with a title alone.
        results: of the study.

    ValueError: see `check_page`.
    """
    from flows.study.plot import draw_plot

    check_page(path)
    title = results.study.title or results.study.name
    before = path.read_text(encoding="utf-8") if path.exists() else f"# {title}\n\n{BEGIN}\n{END}\n"
    plot = path.with_suffix(".png")
    draw_plot(plot, [column for column in columns_of(results) if column.measure.compared])
    results.write(path.with_suffix(".json"))
    head, rest = before.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    body = f"![{title}]({plot.name})\n\n{markdown(results)}"
    path.write_text(f"{head}{BEGIN}\n{body}\n{END}{tail}", encoding="utf-8")


def markdown(results: StudyResults) -> str:
    """A study in Markdown: tables, how to read them, what is decided."""
    study, columns = results.study, columns_of(results)
    rows = ranked(columns)
    first, *others = dict.fromkeys(measure.table for measure in study.measures)
    tables = {name: [each for each in columns if each.measure.table == name] for name in (first, *others)}
    sections = [table(first, rows, tables[first]), study.about, method(results), decisions(study, columns)]
    sections += [dropped(results), *(table(name, rows, tables[name]) for name in others)]
    return "\n\n".join(filter(None, sections))


def columns_of(results: StudyResults) -> list[MeasuredColumn]:
    """All columns of all tables, in the order of the study's measures."""
    study = results.study
    titles = {arm.name: arm.title or arm.name for arm in study.arms}
    variants = {variant.name: variant.title or variant.name for variant in study.variants}
    columns: list[MeasuredColumn] = []
    for measure in study.measures:
        arms = study.arms_of(measure)
        reference = results.references.get(measure.reference, {}).get(measure.figure.rpartition(".")[2])
        for own in [(arm,) for arm in arms] if variants else [arms]:
            cells = {
                variants.get(variant) or titles[arm]: cell
                for arm in own
                for variant in variants or [""]
                if (cell := _estimate(results, measure, variant, arm))
            }
            title = f"{measure.name}, {titles[own[0]]}" if len(own) < len(arms) else measure.name
            columns.append(MeasuredColumn(measure, title, titles[own[0]], cells, reference))
    return columns


def ranked(columns: Sequence[MeasuredColumn]) -> list[str]:
    """Titles of the rows, best first by the first measure that is compared, in its best column."""
    rows = dict.fromkeys(row for column in columns for row in column.cells)
    measure = next((column.measure for column in columns if column.measure.compared), None)
    sign = -1 if measure is None or measure.better == "higher" else 1
    best: dict[str, float] = {}
    for column in columns:
        if column.measure is measure:
            for row, cell in column.cells.items():
                best[row] = min(best.get(row, math.inf), sign * cell.mean)
    return sorted(rows, key=lambda row: best.get(row, math.inf))


def table(title: str, rows: Sequence[str], columns: Sequence[MeasuredColumn]) -> str:
    """A line for each row, and one of known values where there are some."""
    lines = [
        f"| {' | '.join([title, *(column.title for column in columns)])} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for row in rows:
        cells = [show(column.cells.get(row), column.measure) for column in columns]
        lines.append(f"| {' | '.join([row, *cells])} |")
    for name in dict.fromkeys(column.measure.reference for column in columns if column.reference is not None):
        known = [
            "-" if column.reference is None or column.measure.reference != name
            else f"{column.reference:.{column.measure.digits}f}"
            for column in columns
        ]  # fmt: skip
        lines.append(f"| {' | '.join([f'*{name}*', *known])} |")
    return "\n".join(lines)


def show(cell: Estimate | None, measure: MeasureConfig) -> str:
    """A mean with its interval."""
    if cell is None:
        return "-"
    mean = f"{cell.mean:,.{measure.digits}f}"
    if math.isnan(cell.low) or not measure.compared:
        return mean
    digits = max(0, measure.digits - 1)
    return f"{mean} ({cell.low:,.{digits}f}-{cell.high:,.{digits}f})"


def method(results: StudyResults) -> str:
    """How figures were taken and compared, in words."""
    study = results.study
    share = any(measure.questions for measure in study.measures)
    level = f"{study.confidence:.0%} intervals"
    words = [
        f"Means of {len(study.seeds)} seeds. {level}: Student's t over seeds"
        + (", of shares the wider of that and Wilson's over all questions." if share else "."),
        f"Undecided: {level} of the differences, seed by seed, cover 0 (Student's t"
        + ("; of shares the wider of that and Newcombe's)." if share else ").")
        if study.paired
        else "Undecided: its interval overlaps the best one's.",
        "Comparisons are not corrected for their number.",
    ]
    times = {budget.seconds for budget in (study.budget, *(arm.budget for arm in study.arms))} - {0.0}
    words += [
        f"Equal time: {seconds:g} times as many pictures as a training learns from in a second, measured on "
        f"{results.machine}."
        for seconds in sorted(times)
    ]
    return " ".join(words)


def decisions(study: StudyConfig, columns: Sequence[MeasuredColumn]) -> str:
    """Who is best, with those of which it is not decided: of each column, and of each row between columns."""
    lines = ["| question | best | undecided |", "|---|---|---|"]
    for title, best, others in questions(study, columns):
        lines.append(f"| {title} | {best} | {'; '.join(others) or '-'} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def questions(study: StudyConfig, columns: Sequence[MeasuredColumn]) -> list[tuple[str, str, list[str]]]:
    """(question, the best, those of which it is not decided that they are worse) of each column, and of each
    row between columns; none where there is nothing to choose between."""
    comparisons = [(each.measure, each.title, each.cells) for each in columns if each.measure.compared]
    for measure in (each for each in study.measures if each.compared and study.variants):
        arms = [column for column in columns if column.measure is measure]
        comparisons += [
            (
                measure,
                f"{measure.name}, {row}",
                {column.arm: column.cells[row] for column in arms if row in column.cells},
            )
            for row in ranked(columns)
        ]
    decisions: list[tuple[str, str, list[str]]] = []
    for measure, title, cells in comparisons:
        if len(cells) > 1:
            best, *others = rivals(cells, measure.better, study.confidence, study.paired)
            decisions.append((title, best, others))
    return decisions


def dropped(results: StudyResults) -> str:
    """What halving dropped, with the share of the budget that it had; empty: nothing."""
    measure = next(
        (each for each in results.study.measures if each.name == results.study.halving.measure), None
    )
    last = {case.cell: case.share for case in results.cases}  # rungs come in their order
    words = [
        f"{' '.join(filter(None, cell))} with {share:.3g} of it"
        f" ({show(_estimate(results, measure, *cell, share), measure)})"
        for cell, share in last.items()
        if measure and share < 1
    ]
    return f"Dropped by halving before they had the whole budget: {'; '.join(words)}." if words else ""


def _estimate(
    results: StudyResults, measure: MeasureConfig, variant: str, arm: str, share: float = 1.0
) -> Estimate | None:
    cases = [case for case in results.cases if case.cell == (variant, arm) and case.share == share]
    if not cases:
        return None
    values = {case.seed: case.figures[measure.figure] for case in cases}
    questions = int(cases[0].figures[measure.questions]) if measure.questions else 0
    return estimate(values, results.study.confidence, questions)
