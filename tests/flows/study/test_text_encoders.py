"""The comparison of text encoders as a study asks for the very trainings that its recorded figures are of."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from flows.study.cases import Case, cases_of, read_study
from flows.study.estimates import Estimate, rivals
from flows.study.measures import bag_of_words
from flows.study.page import markdown
from flows.study.results import CaseResult, StudyResults
from stages.fingerprint import canonical_config

ROOT = Path(__file__).parents[3]
FILE = ROOT / "examples" / "studies" / "text-encoders.yaml"
PAGE = (ROOT / "docs" / "text-encoders.md").read_text()
RECORDED: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "text_encoders.json").read_text())
"""Canonical configs: of the stages before training, of all trainings (with speeds of 396 images/s frozen, 372
learned) and of the measurements of speed."""
SPEEDS = {"frozen": 396.0, "joint": 372.0, "random": 372.0}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    study = read_study(FILE)
    return cases_of(study, FILE.parent / study.base, "store")


def test_every_training_is_the_recorded_one(cases: list[Case]):
    configs = {case.name: canonical_config(case.train(SPEEDS.get(case.arm))) for case in cases}
    assert configs == RECORDED["cases"]


def test_the_stages_before_training_are_the_recorded_ones(cases: list[Case]):
    runs = {case.run.name: case.run for case in cases}
    stages = {
        name: {stage: canonical_config(getattr(run, stage)) for stage in RECORDED["runs"][name]}
        for name, run in runs.items()
    }
    assert stages == RECORDED["runs"]
    assert len({case.data for case in cases}) == 2


def test_speeds_are_measured_as_they_were(cases: list[Case]):
    paces = {
        f"{case.variant} {'frozen' if case.arm == 'frozen' else 'learned'}": canonical_config(
            case.pace("2 cores of a test", 8.0)
        )
        for case in cases
        if case.budget.seconds
    }
    assert paces == RECORDED["paces"]


def test_denoisers_start_from_the_encoder_of_their_own_kind_and_seed(cases: list[Case]):
    for case in cases:
        started = case.arm in ("frozen", "joint")
        start = f"models/text-{case.variant}-pretrained-{case.seed}@latest" if started else ""
        assert case.run.train.text.start == start
        assert (case.run.train.device, case.run.train.processes, case.run.train.threads) == ("cpu", 1, 1)


def test_a_reader_of_bags_of_words_reaches_what_the_page_says(cases: list[Case]):
    known = bag_of_words(cases[0].run.evaluate)
    rows = table("pretrained, learned on")
    assert {name: f"{known[name]:.2f}" for name in ("binding", "colour", "count", "relation", "shape")} == {
        name: share for name, share in rows["*a bag of words, at most*"].items() if share != "-"
    }
    assert f"bags of words cannot pass {known['all']:.3f}" in PAGE


def test_the_pages_decisions_follow_from_its_intervals(cases: list[Case]):
    rows = table("encoder")
    study = read_study(FILE)
    titles = [arm.title for arm in study.arms if arm.title]
    shares = {title: {kind: interval(row[title]) for kind, row in rows.items()} for title in titles}
    questions = {f"Encoders, {title}": shares[title] for title in titles}
    questions["Encoders, emoji"] = {kind: interval(row["emoji R@1"]) for kind, row in rows.items()}
    questions |= {f"Ways to learn, {kind}": {title: shares[title][kind] for title in titles} for kind in rows}
    decisions = {
        question: (
            row["best"],
            set(row["undecided: its interval overlaps the best one's"].split("; ")) - {"-"},
        )
        for question, row in table("question").items()
    }
    assert decisions == {
        question: (best, set(others))
        for question, estimates in questions.items()
        for best, *others in [rivals(estimates, "higher", study.confidence, study.paired)]
    }


def test_the_page_can_be_made_of_results(cases: list[Case]):
    study = read_study(FILE)
    results = [
        CaseResult(
            case.variant,
            case.arm,
            case.seed,
            1.0,
            640,
            *("0" * 64,) * 3,
            {
                path: 0.5
                for each in study.measures_of(case.arm)
                for path in (each.figure, each.questions)
                if path
            },
        )
        for case in cases
    ]
    known = {"bag-of-words": bag_of_words(cases[0].run.evaluate)}
    text = markdown(StudyResults(study, "2 cores", known, results))
    for head in ("encoder", "pretrained, learned on"):
        new, recorded = table(head, text), table(head)
        assert set(recorded) - {"*a bag of words, at most*"} == set(new) - {"*bag-of-words*"}
        for title in set(next(iter(recorded.values()))) - {"images/s, frozen / learned"}:
            assert sum(column.endswith(title) for column in next(iter(new.values()))) >= 1
    assert set(table("question", text)) >= {"emoji R@1", "right, pretrained, frozen", "right, cnn"}


def table(head: str, page: str = PAGE) -> dict[str, dict[str, str]]:
    """Rows of the page's table whose first column is called so, by their first cell."""
    lines = iter(page.splitlines())
    columns = next(cells(line) for line in lines if line.startswith(f"| {head} |"))
    next(lines)
    rows = map(cells, itertools.takewhile(lambda line: line.startswith("|"), lines))
    return {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in rows}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def interval(cell: str) -> Estimate:
    """Of a cell like 0.777 (0.67-0.89)."""
    mean, low, high = map(float, re.findall(r"[\d.]+", cell))
    return Estimate(mean, low, high, {})
