"""By which optimizer and rates a training learns, by what it starts from, and what its model says of them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sdmodel.config.learning import LoraConfig, OptimizerConfig
from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Artifact, Snapshot
from stages.pretrained.continuation import Continuation
from stages.train.launch import rates_text
from stages.train.optimizer import optimizer_statistics, settled

CONFIG = TrainConfig()
PIPELINE = Snapshot("digest")


def model(**statistics: Any) -> Artifact:
    return cast(Artifact, SimpleNamespace(statistics=statistics))


def going_on(**statistics: Any) -> Continuation:
    return Continuation(artifact=model(**statistics), name="state", digest="", images=64)


@pytest.mark.parametrize("start", [None, model(), going_on(), going_on(optimizer={"kind": "muon"})])
def test_from_nothing_and_from_models_of_ours_muon_learns(start: Any):
    assert optimizer_statistics(CONFIG, start) == {"kind": "muon", "muon_rate": 1.2e-2, "adam_rate": 3e-3}


def test_a_pipeline_goes_on_slowly_and_so_does_who_goes_on_with_what_came_of_it():
    first = optimizer_statistics(CONFIG, PIPELINE)
    assert first == {"kind": "adamw", "adam_rate": 1e-5, "from_pipeline": True}
    assert optimizer_statistics(CONFIG, going_on(optimizer=first)) == first


def test_statistics_say_the_rates_that_the_batch_makes():
    config = TrainConfig(batch=256, optimizer=OptimizerConfig(base_batch=64))
    assert optimizer_statistics(config, None)["adam_rate"] == pytest.approx(6e-3)


def test_the_job_is_told_what_the_statistics_say():
    for start in (None, PIPELINE, going_on(optimizer={"kind": "adamw", "from_pipeline": True})):
        learning = settled(CONFIG, start).learning
        said = optimizer_statistics(CONFIG, start)
        assert (learning.kind, learning.adam_rate) == (said["kind"], said["adam_rate"])


@pytest.mark.parametrize(
    ("config", "start", "words"),
    [
        (CONFIG, None, "Muon 0.012, AdamW 0.003"),
        (CONFIG, PIPELINE, "AdamW 1e-05"),
        (TrainConfig(lora=LoraConfig(rank=4), start="models/a@1"), model(), "AdamW 0.0001"),
        (TrainConfig(optimizer=OptimizerConfig(kind="lion")), None, "Lion 0.0003"),
    ],
)
def test_rates_are_said_in_words(config: TrainConfig, start: Any, words: str):
    assert rates_text(settled(config, start).learning) == words
