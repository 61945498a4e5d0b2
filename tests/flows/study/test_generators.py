"""The study of ways to make pictures asks each for the same figures, in the same time."""

from pathlib import Path

from flows.study.cases import cases_of, read_study
from flows.study.measures import figure_of

FILE = Path(__file__).parents[3] / "examples/studies/generators.yaml"


def test_each_way_is_another_training_that_can_be():
    study = read_study(FILE)
    runs = {case.arm: case.run for case in cases_of(study, FILE.parent / study.base, "store")}
    objectives = {arm: run.train.objective for arm, run in runs.items()}
    assert objectives == {
        "autoencoder": "autoencoder",
        "vae": "autoencoder",
        "gan": "gan",
        "ddpm": "diffusion",
        "ours": "diffusion",
    }
    assert {run.evaluate.oracle_samples for run in runs.values()} == {2000}
    assert (runs["vae"].evaluate.prior, runs["autoencoder"].evaluate.prior) == ("standard", "fitted")
    assert not runs["autoencoder"].train.autoencoder.draw
    report = {"evaluation": {"oracle": {"coverage": 0.5, "clean": 0.25}}, "pace": {"images_per_second": 1.0}}
    assert all(figure_of(report, measure.figure) > 0 for measure in study.measures)
