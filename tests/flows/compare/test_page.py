"""The comparison's part of a page is written anew, and the rest of the page stays."""

from pathlib import Path

import pytest
from PIL import Image

from flows.compare.cases import Comparison
from flows.compare.figures import rows
from flows.compare.page import BEGIN, END, check_page, write_page
from tests.flows.compare.test_figures import cases

COMPARISON = Comparison(pictures="two", emoji="emoji", seeds=2, seconds=30, samples=64, machine="2 cores")
CEILINGS = {"all": 0.168, "shape": 0.987}


def test_table_and_plot_stand_between_the_marks(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"# Encoders\n\nbefore\n{BEGIN}\nold\n{END}\nafter\n")
    found = rows([*cases("lstm", [0.44, 0.45, 0.46]), *cases("fasttext", [0.1, 0.11, 0.12])])
    for _ in range(2):
        write_page(page, found, COMPARISON, CEILINGS)
        text = page.read_text()
        assert text.startswith(f"# Encoders\n\nbefore\n{BEGIN}\n![")
        assert text.endswith(f"{END}\nafter\n")
        assert "old" not in text
    lines = [line for line in text.splitlines() if line.startswith("| lstm | ")]
    assert lines[0].count("0.450 (") == 4  # three modes, and emoji
    assert "cannot pass 0.168" in text
    assert "| Encoders, from nothing | lstm | - |" in text
    assert "| Ways to learn, fasttext | pretrained, frozen | pretrained, learned on; from nothing |" in text
    assert "| *a bag of words, at most* | 0.99 | - |" in text
    assert "32,000 pictures" in text
    assert "30 seconds on one of 2 cores" in text
    with Image.open(page.with_suffix(".png")) as plot:
        assert min(plot.size) > 100


@pytest.mark.parametrize("kinds", [1, 2, 9])
def test_the_plot_has_room_for_its_words(tmp_path: Path, kinds: int):
    found = rows([case for kind in range(kinds) for case in cases(f"kind {kind}", [0.4, 0.5])])
    write_page(tmp_path / "page.md", found, COMPARISON, CEILINGS)
    with Image.open(tmp_path / "page.png") as plot:
        assert plot.height >= 270
        assert plot.height >= 45 * kinds


def test_a_page_for_a_folder_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"there is no folder .*docs; make it first"):
        check_page(tmp_path / "docs" / "page.md")


def test_a_page_without_marks_is_left_alone(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("mine")
    with pytest.raises(ValueError, match="no lines <!-- comparison: begin -->"):
        write_page(page, rows(cases("lstm", [0.4])), COMPARISON, CEILINGS)
    assert page.read_text() == "mine"
    assert not page.with_suffix(".png").exists()
