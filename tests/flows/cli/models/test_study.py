"""`sdflow study`: mistakes are named before anything takes time; a dry run says what it would take."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.study.page import write_page
from stages.artifacts.study import study_numbers
from stages.store import open_store
from tests.flows.study.studies import results, write_base

STUDY = """
name: try
base: base.yaml
seeds: [0, 1]
arms:
  - {name: narrow, overrides: [train.batch=32], budget: {seconds: 1800}}
  - {name: wide, overrides: [train.batch=64], budget: {images: 180000}}
measures: [{name: loss, figure: train.loss, better: lower}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_base(tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (("seeds: [0, 1]", "seeds: [0, 0]"), (), "seeds=0 comes twice"),
        (
            ("seconds: 1800", "seconds: 1800, images: 64"),
            (),
            "arms.0.budget.images=64, arms.0.budget.seconds=1800",
        ),
        (
            ("figure: train.loss", "figure: loss"),
            (),
            "measures.0.figure='loss' must be a path that begins with",
        ),
        (("train.batch=32", "train.batch=many"), (), "arm narrow: base.yaml: train.batch is 'many'"),
        (("base.yaml", "none.yaml"), (), "none.yaml cannot be read"),
        (("", ""), ("--lanes", "-1"), "lanes=-1 must be at least 0"),
        (("", ""), ("--out", "nowhere/page.md"), "there is no folder nowhere; make it first"),
        (("", ""), ("--out", "base.yaml"), "base.yaml has no lines <!-- study: begin -->"),
        (("", ""), ("--store", "ftp://x"), "unknown store 'ftp://x'"),
    ],
)
def test_mistakes_cost_no_time(
    folder: Path,
    sdflow: Callable[..., tuple[int, str, str]],
    change: tuple[str, str],
    options: tuple[str, ...],
    message: str,
):
    (folder / "study.yaml").write_text(STUDY.replace(*change))
    status, _, error = sdflow("study", "study.yaml", *options)
    assert status == 2
    assert message in error.replace(f"{folder}/", "")
    assert sorted(path.name for path in folder.iterdir()) == ["base.yaml", "pictures", "study.yaml"]


def test_a_dry_run_says_cases_and_hours(
    folder: Path, sdflow: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
):
    tried: list[Any] = []

    def forecast(config: Any, *_: Any, **__: Any) -> SimpleNamespace:
        tried.append(config)
        return SimpleNamespace(images_per_second=50.0)

    monkeypatch.setattr("stages.forecast.forecast.forecast", forecast)
    status, _, error = sdflow("study", "study.yaml", "--dry-run", "--lanes", "2")
    assert status == 0
    assert "narrow  2 cases, 1.00 h of training" in error
    assert "wide  2 cases, 2.00 h of training" in error
    assert "4 cases, 1.50 h: 3.00 h of training, 2 at once" in error
    assert [config.batch for config in tried] == [64]


def test_a_page_is_written_from_results(folder: Path, sdflow: Callable[..., tuple[int, str, str]]):
    outcome = results({"rnn": [0.10, 0.11], "gru": [0.44, 0.46]})
    write_page(folder / "first.md", outcome)
    assert sdflow("study", "first.json", "--out", "second.md")[0] == 0
    assert (folder / "second.md").read_text() == (folder / "first.md").read_text().replace(
        "first.png", "second.png"
    )


def test_results_are_kept_in_a_store_that_is_named(folder: Path, sdflow: Callable[..., tuple[int, str, str]]):
    outcome = results({"rnn": [0.10, 0.11], "gru": [0.44, 0.46]})
    write_page(folder / "first.md", outcome)
    for _ in range(2):
        assert sdflow("study", "first.json", "--out", "second.md", "--store", str(folder / "kept"))[0] == 0
    assert study_numbers(open_store(str(folder / "kept"))) == {"try": [1]}
