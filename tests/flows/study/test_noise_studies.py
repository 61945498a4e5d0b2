"""The studies of noise ask for arms that differ in nothing but noise, and each can be trained."""

from pathlib import Path

import pytest

from flows.study.cases import cases_of, read_study
from flows.study.measures import figure_of
from sdmodel.noise.process import ForwardProcess
from stages.config.differences import differences
from stages.fingerprint import canonical_config

STUDIES = Path(__file__).parents[3] / "examples" / "studies"


@pytest.mark.parametrize(("name", "count"), [("objectives", 8), ("schedules", 5)])
def test_arms_differ_in_noise_alone(name: str, count: int):
    file = STUDIES / f"{name}.yaml"
    study = read_study(file)
    cases = cases_of(study, file.parent / study.base, "store")
    assert len(cases) == count * len(study.seeds)
    first = cases[0].train(None)
    processes: list[tuple[object, ...]] = []
    for case in cases[:count]:
        config = case.train(None)
        changed = differences(canonical_config(first), canonical_config(config))
        assert all(key.startswith("noise.") for key in changed)
        assert (config.images, config.processes, config.threads) == (60_000, 1, 1)
        process = ForwardProcess.of_config(config.noise)
        table = process.schedule.settings
        schedule = table and (table["beta_schedule"], table["rescale_betas_zero_snr"])
        processes.append((schedule, process.prediction, process.loss))
    assert len(set(processes)) == count


def test_an_arm_is_named_for_what_it_predicts_and_where_its_error_is_measured():
    file = STUDIES / "objectives.yaml"
    study = read_study(file)
    for case in cases_of(study, file.parent / study.base, "store"):
        process = ForwardProcess.of_config(case.run.train.noise)
        assert case.arm == f"{process.prediction}-{process.loss}".replace("_", "-")


def test_measures_are_in_a_report():
    report = {
        "oracle": dict.fromkeys(("all", "binding", "relation", "clean"), 0.5),
        "validation": {"mse": 0.1},
    }
    for name in ("objectives", "schedules"):
        for measure in read_study(STUDIES / f"{name}.yaml").measures:
            assert figure_of({"evaluation": report}, measure.figure) > 0
