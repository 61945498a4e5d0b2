"""The study of image encoders: each way is another training, and is asked for the same figures."""

from pathlib import Path

from flows.study.cases import cases_of, read_study
from flows.study.measures import figure_of

FILE = Path(__file__).parents[3] / "examples/studies/encoders.yaml"


def test_each_way_is_another_training_that_can_be():
    study = read_study(FILE)
    cases = cases_of(study, FILE.parent / study.base, "store")
    learned = {case.arm: case.run.train.selfsupervised for case in cases}
    assert {arm: config.method for arm, config in learned.items()} == {
        "untrained": "contrastive",
        "contrastive": "contrastive",
        "noised": "contrastive",
        "rotation": "rotation",
        "masked": "masked",
        "labels-10": "supervised",
        "labels": "supervised",
    }
    assert (learned["labels-10"].labelled, learned["labels"].labelled) == (0.1, 1.0)
    assert learned["noised"].noised == 0.5
    for case in cases:
        assert case.run.train.objective == "selfsupervised"
        assert case.run.evaluate.columns == case.run.shard.columns == ("shape", "colour")
    shares = dict.fromkeys(("linear", "neighbours", "pixels_linear"), 0.5)
    report = {"evaluation": {"probes": dict.fromkeys(("shape", "colour"), shares)}}
    assert [figure_of(report, measure.figure) for measure in study.measures] == [0.5] * 6
