"""The studies of alignment and joint training: each arm is another training, compared by the same figures."""

from pathlib import Path

import pytest

from flows.study.cases import cases_of, read_study, waves
from flows.study.measures import figure_of
from flows.study.preview import preview

STUDIES = Path(__file__).parents[3] / "examples/studies"
ORACLE = {"all": 0.5, "binding": 0.5, "relation": 0.5, "clean": 0.5, "samples": 256}
REPORT = {"evaluation": {"oracle": ORACLE, "validation": {"mse": 0.5}}}


def test_alignment_is_with_an_encoder_that_the_study_makes_first():
    study = read_study(STUDIES / "alignment.yaml")
    cases = cases_of(study, STUDIES / study.base, "store")
    kinds = {case.arm: case.run.train.alignment.kind for case in cases}
    assert kinds == {"encoder": "none", "none": "none", "repa": "repa", "dispersive": "dispersive"}
    assert {case.arm for case in waves(study, cases)[-1]} == {"repa"}
    teachers = {case.seed: case.run.train.encoder for case in cases if case.arm == "repa"}
    assert teachers == {seed: f"models/alignment-encoder-{seed}@latest" for seed in (0, 1, 2)}
    assert [figure_of(REPORT, measure.figure) for measure in study.measures] == [0.5] * 5
    assert not any("encoder" in measure.arms for measure in study.measures)


def test_joint_training_is_weighed_in_every_way_that_is_compared():
    study = read_study(STUDIES / "joint.yaml")
    cases = cases_of(study, STUDIES / study.base, "store")
    ways = {case.arm: (case.run.train.joint.kind, case.run.train.joint.weights) for case in cases}
    assert ways == {
        "none": ("none", "fixed"),
        "fixed": ("contrastive", "fixed"),
        "schedule": ("contrastive", "schedule"),
        "uncertainty": ("contrastive", "uncertainty"),
    }
    assert [figure_of(REPORT, measure.figure) for measure in study.measures] == [0.5] * 5


@pytest.mark.slow
def test_a_speed_is_tried_with_an_encoder_that_is_not_there_yet(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("flows.study.preview.TRIED", 0.1)
    study = read_study(STUDIES / "alignment.yaml")
    cases = cases_of(study, STUDIES / study.base, "no-store")
    short = [case for case in cases if case.arm in ("encoder", "repa") and not case.seed]
    lines = list(preview(study, short, "a machine", 1))
    assert "repa  1 cases, 0." in "\n".join(lines)
