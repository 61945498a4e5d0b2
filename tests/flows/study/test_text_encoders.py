"""The comparison of text encoders as a study asks for the very trainings that its recorded figures are of."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.study.cases import Case, cases_of, read_study
from stages.fingerprint import canonical_config

FILE = Path(__file__).parents[3] / "examples" / "studies" / "text-encoders.yaml"
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
