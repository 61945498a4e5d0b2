"""The study's part of a page is written anew, and the rest of the page stays."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from flows.study.config import HalvingConfig
from flows.study.page import BEGIN, END, check_page, markdown, write_page
from flows.study.results import StudyResults
from tests.flows.study.studies import STUDY, result, results

OUTCOME = results({"rnn": [0.10, 0.11], "gru": [0.44, 0.46]})


def test_tables_and_plot_stand_between_the_marks(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"# Encoders\n\nbefore\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write_page(page, OUTCOME)
        text = page.read_text()
        assert text.startswith(f"# Encoders\n\nbefore\n{BEGIN}\n![")
        assert text.endswith(f"{END}\nafter\n")
        assert "old" not in text
    rows = [line for line in text.splitlines() if line.startswith(("| GRU | 0", "| rnn | 0"))]
    assert [row[:5] for row in rows] == ["| GRU", "| rnn"]  # the best first
    assert rows[0].count("0.450 (") == 2
    assert rows[0].endswith("| 0.9 |")
    assert "| *bag-of-words* | 0.168 | 0.168 | - |" in text
    assert "10 times as many pictures as a training learns from in a second, measured on 2 cores" in text
    with Image.open(page.with_suffix(".png")) as plot:
        assert min(plot.size) > 100


def test_decisions_are_of_each_column_and_of_each_row():
    text = markdown(results({"rnn": [0.10, 0.101], "gru": [0.90, 0.902]}))
    assert "| right, with a start | GRU | - |" in text
    assert "| right, GRU | with a start | plain |" in text
    assert "| right, plain | GRU | rnn |" in markdown(results({"rnn": [0.10], "gru": [0.90]}))
    alone = StudyResults(replace(STUDY, variants=()), "2 cores", {}, [result("", "plain", 0, 0.2)])
    assert "| question |" not in markdown(alone)


def test_arms_are_the_rows_where_there_are_no_variants():
    study = replace(STUDY, variants=())
    cases = [
        result("", arm, seed, right) for arm, right in (("started", 0.2), ("plain", 0.3)) for seed in (0, 1)
    ]
    text = markdown(StudyResults(study, "2 cores", {}, cases))
    assert text.index("| plain | 0.300 (") < text.index("| with a start | 0.200 (")
    assert "| right | plain | - |" in text


def test_what_halving_dropped_is_shown_with_what_it_reached():
    study = replace(STUDY, halving=HalvingConfig(measure="right", rungs=2))
    cases = [
        result(variant, "plain", seed, right, share)
        for variant, right, share in (("rnn", 0.1, 0.5), ("gru", 0.2, 0.5), ("gru", 0.4, 1.0))
        for seed in (0, 1)
    ]
    text = markdown(StudyResults(study, "2 cores", {}, cases))
    assert "rnn plain with 0.5 of it (0.100 (" in text
    assert "| GRU | - | 0.400 (" in text


def test_the_page_can_be_written_again_from_the_results_beside_it(tmp_path: Path):
    write_page(tmp_path / "page.md", OUTCOME)
    again = StudyResults.read(tmp_path / "page.json")
    assert markdown(again) == markdown(OUTCOME)
    (tmp_path / "page.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no results of a study"):
        StudyResults.read(tmp_path / "page.json")


def test_a_page_for_a_folder_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"there is no folder .*docs; make it first"):
        check_page(tmp_path / "docs" / "page.md")


def test_a_page_without_marks_is_left_alone(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("mine")
    with pytest.raises(ValueError, match="no lines <!-- study: begin -->"):
        write_page(page, OUTCOME)
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]
    assert page.read_text() == "mine"
