"""The study's flow, with its steps replaced: what runs when, and what a failure ends."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.study import flow
from flows.study.cases import Case
from flows.study.config import HalvingConfig, StudyConfig
from flows.study.results import CaseResult
from tests.flows.study.studies import STUDY, result, write_base


class Steps:
    """Remembers what began."""

    def __init__(self, patch: pytest.MonkeyPatch, failing: str = "", at_once: int = 1) -> None:
        self.failing = failing
        self.begun: list[tuple[str, str, int, float]] = []
        self.measured: list[str] = []
        self.datasets: list[str] = []
        self.side_by_side = threading.Barrier(at_once)
        self.over = threading.Event()
        patch.setattr(flow, "dataset", self.dataset)
        patch.setattr(flow, "measured_pace", self.measured_pace)
        patch.setattr(flow, "trained", self.trained)

    def dataset(self, run: Any) -> str:
        self.datasets.append(run.name)
        return run.name

    def measured_pace(self, case: Case, data: str, config: Any) -> dict[str, Any]:
        assert self.begun == []  # nothing disturbs a measurement
        self.measured.append(f"{case.variant} {case.arm}")
        return {"images_per_second": 100.0}

    def trained(
        self, config: StudyConfig, case: Case, share: float, data: str, speed: dict[str, Any]
    ) -> CaseResult:
        self.begun.append((case.variant, case.arm, case.seed, share))
        if case.title == self.failing:
            raise ValueError(f"no {case.title}")
        if self.failing:
            self.over.wait(300)
        else:
            self.side_by_side.wait(300)  # for ever, unless so many run together
        assert data == "base"
        assert bool(speed) == bool(case.budget.seconds)
        return result(case.variant, case.arm, case.seed, {"rnn": 0.1, "gru": 0.4}[case.variant], share)


def run(study: StudyConfig, folder: Path, lanes: int = 1) -> list[CaseResult]:
    return flow.study.fn(study, write_base(folder), str(folder / "store"), "2 cores", lanes)


def test_every_case_runs_after_what_it_starts_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    steps = Steps(monkeypatch)
    results = run(STUDY, tmp_path)
    assert steps.datasets == ["base"]
    assert steps.measured == ["rnn started", "rnn plain", "gru started", "gru plain"]  # not once a seed
    waves = [("first", "plain"), ("started",)]
    expected = [
        (variant, arm, seed, 1.0)
        for wave in waves
        for seed in (0, 1)
        for variant in ("rnn", "gru")
        for arm in wave
    ]
    assert steps.begun == expected
    assert [(each.variant, each.arm, each.seed, each.share) for each in results] == expected


def test_cases_run_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Steps(monkeypatch, at_once=2)
    assert len(run(STUDY, tmp_path, lanes=2)) == 12


def test_halving_gives_the_better_ones_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    steps = Steps(monkeypatch)
    run(replace(STUDY, halving=HalvingConfig(measure="right", rungs=2, factor=4)), tmp_path)
    later = steps.begun[4:]  # after the arm that others start from
    assert later[:8] == [
        (variant, arm, seed, 0.25)
        for arm in ("plain", "started")
        for seed in (0, 1)
        for variant in ("rnn", "gru")
    ]
    assert later[8:] == [("gru", "plain", seed, 1.0) for seed in (0, 1)]


def test_after_a_failure_nothing_more_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of two lanes, while the other one's case is still at work."""
    steps = Steps(monkeypatch, failing="rnn plain 0")
    with pytest.raises(ValueError, match="no rnn plain 0"):
        run(STUDY, tmp_path, lanes=2)
    begun = len(steps.begun)
    steps.over.set()
    assert begun in (2, 3)  # the failed one's lane may have gone on by then
