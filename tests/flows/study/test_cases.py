"""Which trainings a study is, in which order, and what it refuses."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.study.cases import cases_of, read_study, waves
from flows.study.config import ArmConfig, BudgetConfig, HalvingConfig, MeasureConfig, StudyConfig
from flows.study.halving import rungs, survivors
from tests.flows.study.studies import LOSS, RIGHT, STUDY, result, write_base


def arm(number: int, **changes: Any) -> tuple[ArmConfig, ...]:
    """The study's arms, with one of them changed."""
    return tuple(
        replace(each, **changes) if place == number else each for place, each in enumerate(STUDY.arms)
    )


def test_a_case_is_the_base_run_with_its_overrides(tmp_path: Path):
    cases = cases_of(STUDY, write_base(tmp_path))
    assert [case.name for case in cases][:4] == [
        "try-rnn-first-0",
        "try-rnn-started-0",
        "try-rnn-plain-0",
        "try-gru-first-0",
    ]
    assert len(cases) == 12
    started, plain = cases[-2:]
    assert (started.run.train.text.kind, started.run.train.seed) == ("gru", 1)
    assert started.run.train.text.start == "models/try-gru-first-1@latest"
    expected = replace(started.run.train, text=replace(started.run.train.text, start=""), caption_dropout=0.2)
    assert plain.run.train == expected
    assert len({case.data for case in cases}) == 1


def test_budgets_are_whole_batches_where_they_are_time_or_a_part(tmp_path: Path):
    first, started, _ = cases_of(STUDY, write_base(tmp_path))[:3]
    assert first.train(None).images == 640
    assert first.train(None, 0.3).images == 192
    assert started.train(100.0).images == 1024  # 1,000 to the nearest 64
    assert started.train(0.01).images == 64
    assert replace(first, budget=BudgetConfig()).train(None).images == first.run.train.images


def test_speeds_are_those_of_all_seeds_and_starts(tmp_path: Path):
    cases = [case for case in cases_of(STUDY, write_base(tmp_path)) if case.variant == "rnn"]
    paces = {case.arm: case.pace("2 cores", 8.0) for case in cases if case.seed == 0}
    assert {case.arm: case.pace("2 cores", 8.0) for case in cases if case.seed == 1} == paces
    assert paces["started"].train.text.start == ""


def test_what_is_started_from_comes_first_and_the_same_work_once(tmp_path: Path):
    arms = (*STUDY.arms[1:], STUDY.arms[0], replace(STUDY.arms[2], name="again"))
    study = replace(STUDY, arms=arms, seeds=(0,))
    order = [[case.arm for case in wave] for wave in waves(study, cases_of(study, write_base(tmp_path)))]
    assert order == [["plain", "first"] * 2, ["again"] * 2, ["started"] * 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": (0, 0)}, "seeds=0 comes twice"),
        ({"seeds": ()}, "seeds=.* must be at least 1 long"),
        ({"arms": (*STUDY.arms, STUDY.arms[0])}, "arms='first' comes twice"),
        ({"variants": (*STUDY.variants, STUDY.variants[0])}, "variants='rnn' comes twice"),
        ({"name": "No Name"}, "name='No Name' must be"),
        ({"confidence": 1.0}, "confidence=1.0 must be below 1"),
        (
            {"arms": arm(1, start={"train.text.start": "second"})},
            "'second' is unknown; known: first, started",
        ),
        ({"arms": arm(0, start={"train.text.start": "started"})}, "would start from itself"),
        ({"measures": (replace(RIGHT, arms=("none",)),)}, "measures.0.arms='none' is unknown; known: first"),
        (
            {"measures": (replace(RIGHT, reference="luck"),)},
            "reference='luck' is unknown; known: bag-of-words",
        ),
        (
            {"halving": HalvingConfig(measure="speed")},
            "halving.measure='speed' is unknown; known: right, loss",
        ),
        ({"halving": HalvingConfig(measure="loss")}, "arms.1.start='first' may be dropped by halving"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        replace(STUDY, **changes)


def test_every_mistake_of_every_arm_is_named_at_once(tmp_path: Path):
    study = replace(
        STUDY,
        arms=(
            ArmConfig(name="one", overrides=("train.batch=0", "train.network=cnn")),
            ArmConfig(name="two", overrides=("train.widht=1",)),
            ArmConfig(name="three", overrides=("train.start=models/old@1",)),
        ),
        measures=(replace(LOSS, arms=()),),
    )
    with pytest.raises(ValueError, match="arm one") as error:
        cases_of(study, write_base(tmp_path))
    for word in ("train.network", "widht", "figure of pace, with train.start='models/old@1'"):
        assert word in str(error.value)
    assert str(error.value).count("arm two of rnn") == 1  # not once a seed


def test_a_file_is_read_with_all_its_mistakes(tmp_path: Path):
    path = tmp_path / "study.yaml"
    path.write_text(
        "name: try\nbase: base.yaml\narms: [{name: one}]\nmeasures: [{name: loss, figure: train.loss}]\n"
    )
    expected = StudyConfig(
        name="try",
        base="base.yaml",
        arms=(ArmConfig(name="one"),),
        measures=(MeasureConfig(name="loss", figure="train.loss"),),
    )
    assert read_study(path) == expected
    path.write_text("name: try\nbase: base.yaml\narms: []\nmeasures: [{name: loss}]\nseeds: [-1]\nsteps: 3\n")
    with pytest.raises(ValueError, match=r"study\.yaml") as error:
        read_study(path)
    for word in ("arms", "figure", "seeds", "steps"):
        assert word in str(error.value)


def test_halving_keeps_the_better_half():
    halving = HalvingConfig(measure="right", factor=2, rungs=3)
    assert rungs(halving, 5) == [(0.25, 5), (0.5, 3), (1.0, 2)]
    study = replace(STUDY, halving=halving)
    rung = [
        result(variant, "plain", seed, right + 0.05 * seed)
        for variant, right in (("a", 0.1), ("b", 0.3), ("c", 0.2))
        for seed in (0, 1)
    ]
    assert survivors(study, rung) == {("b", "plain"), ("c", "plain")}
    study = replace(study, measures=(replace(RIGHT, better="lower"), LOSS))
    assert survivors(study, rung) == {("a", "plain"), ("c", "plain")}


def test_a_study_names_all_its_mistakes(tmp_path: Path):
    path = tmp_path / "study.yaml"
    path.write_text(
        "name: A Name\nbase: base.yaml\nseeds: [0, 0]\nconfidence: true\nbudget: {images: 1, seconds: 1}\n"
        "arms: [{name: a, start: {train.start: b}}]\n"
        "measures: [{name: loss, figure: train.loss, digits: 10}]\n"
    )
    with pytest.raises(ValueError, match="6 mistakes") as caught:
        read_study(path)
    for words in ("name='A Name'", "seeds=0 ", "confidence is true", "budget.images=1, ", "'b' is unknown"):
        assert words in str(caught.value)
    path.write_text("name: a\nbase: base.yaml\narms: [{name: a}]\nmeasures: [{name: loss, figure: loss}]\n")
    with pytest.raises(ValueError, match=r"study\.yaml: measures\.0\.figure='loss' must be a path[^\n]*$"):
        read_study(path)


def test_a_study_is_refused_before_what_takes_long_to_import():
    code = "import sys, flows.cli.models.study, flows.study.page; assert 'scipy.stats' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
