"""Means and intervals of a study as a picture."""

import re

from dashboard.svg.intervals import draw_intervals
from stages.artifacts.study import StudyCell, StudyColumn, StudyRow, StudyTable


def table(*cells: StudyCell | None, title: str = "arm", reference: float | None = None) -> StudyTable:
    rows = [StudyRow(f"{title} {number}", [cell]) for number, cell in enumerate(cells)]
    return StudyTable("t", [StudyColumn("error", 3, "lower", reference)], rows)


def means(svg: str) -> list[float]:
    return [float(place) for place in re.findall(r'class="mean" cx="([\d.]+)"', svg)]


def ends(svg: str) -> list[tuple[float, float]]:
    pattern = r'class="interval" fill="none" d="M([\d.]+) [\d.]+V[\d.]+M[\d.]+ [\d.]+H([\d.]+)M'
    return [(float(low), float(high)) for low, high in re.findall(pattern, svg)]


def test_places_are_in_proportion_to_numbers():
    svg = draw_intervals(table(StudyCell(0.2, 0.1, 0.3), StudyCell(0.6, 0.5, 0.9)), 0, 20)
    (first, second), ((low, high), (below, above)) = means(svg), ends(svg)
    assert low < first < high < below < second < above
    scale = (second - first) / 0.4
    for place, value in ((low, 0.1), (high, 0.3), (below, 0.5), (above, 0.9)):
        assert abs(place - (first + (value - 0.2) * scale)) < 0.3


def test_one_seed_has_a_mean_alone_and_what_is_missing_has_no_row():
    svg = draw_intervals(table(StudyCell(0.2, None, None), None), 0, 20)
    assert len(means(svg)) == 1
    assert ends(svg) == []
    assert "arm 1" not in svg
    assert draw_intervals(table(None), 0, 20) == ""


def test_what_is_known_without_a_training_is_within_the_axis():
    svg = draw_intervals(table(StudyCell(0.2, 0.1, 0.3), reference=5.0), 0, 20)
    match = re.search(r'class="mark" d="M([\d.]+)', svg)
    assert match
    assert means(svg)[0] < float(match[1]) < 640


def test_rows_are_bounded_and_names_are_text():
    cells = [StudyCell(1.0, 0.5, 1.5)] * 30
    svg = draw_intervals(table(*cells, title="<b>" * 20), 0, 20)
    assert len(means(svg)) == 20
    assert "<b>" not in svg
    assert "…" in svg
