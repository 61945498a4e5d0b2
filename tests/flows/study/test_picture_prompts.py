"""The study of prompts trains three kinds of models, and asks one of them in three ways."""

from pathlib import Path

import pytest

from flows.study.cases import Case, cases_of, read_study, waves
from flows.study.measures import figure_of
from stages.demo.two.measures import MEASURES

FILE = Path(__file__).parents[3] / "examples" / "studies" / "picture-prompts.yaml"


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    study = read_study(FILE)
    return {case.name: case for case in cases_of(study, FILE.parent / study.base, "store")}


def test_models_differ_in_what_they_are_told_alone(cases: dict[str, Case]):
    text, picture, both = (cases[f"prompts-{arm}-0"].train(None) for arm in ("text", "picture", "both"))
    assert {config.images for config in (text, picture, both)} == {30_000}
    assert (text.encoder, text.conditions.names) == ("", ())
    for config in (picture, both):
        assert config.encoder == "models/prompts-encoder-0@latest"
        assert config.conditions.picture.source == "reference"
    assert (text.caption_dropout, picture.caption_dropout, both.caption_dropout) == (0.1, 1.0, 0.1)
    assert picture.conditions == both.conditions


def test_one_model_is_asked_in_three_ways_and_trained_once(cases: dict[str, Case]):
    asked = {arm: cases[f"prompts-{arm}-1"] for arm in ("both", "both-text", "both-picture")}
    assert len({case.work for case in asked.values()}) == 1
    ways = {arm: case.run.evaluate.oracle_prompts for arm, case in asked.items()}
    assert ways == {"both": "both", "both-text": "text", "both-picture": "picture"}
    order = [case.arm for wave in waves(read_study(FILE), list(cases.values())) for case in wave]
    assert order.index("encoder") < order.index("both") < order.index("both-text")


def test_speeds_are_tried_without_the_encoder_that_another_arm_has_yet_to_make(cases: dict[str, Case]):
    pace = cases["prompts-both-0"].pace("2 cores of a test", 1.0).train
    assert (pace.encoder, pace.conditions.names) == ("", ())


def test_measures_are_in_a_report():
    report = {"oracle": dict.fromkeys((*MEASURES, "clean"), 0.5)}
    for measure in read_study(FILE).measures:
        assert figure_of({"evaluation": report}, measure.figure) == 0.5
