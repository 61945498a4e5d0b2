"""The study of ways to make pictures asks each for the same figures, in the same time."""

from pathlib import Path

from flows.study.cases import cases_of, read_study
from flows.study.measures import figure_of

STUDIES = Path(__file__).parents[3] / "examples/studies"
FILE = STUDIES / "generators.yaml"


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


def test_the_losses_of_an_autoencoder_are_seen_by_an_encoder_that_the_study_trains():
    study = read_study(STUDIES / "autoencoders.yaml")
    runs = {case.arm: case for case in cases_of(study, STUDIES / study.base, "store")}
    eye = "models/autoencoders-encoder-0@latest"
    assert runs["encoder"].run.train.objective == "selfsupervised"
    judged = [arm for arm, case in runs.items() if case.run.evaluate.encoder == eye]
    assert judged == ["pixels", "perceptual", "adversary", "all"]
    assert runs["all"].run.train.encoder == eye
    assert not runs["pixels"].run.train.encoder
    measured = runs["all"].pace("machine", 1.0).train
    assert measured.encoder == ""  # it is not there when speeds are measured
    assert measured.autoencoder.adversary == runs["all"].run.train.autoencoder.adversary
