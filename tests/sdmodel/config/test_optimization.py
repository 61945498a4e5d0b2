"""What a training learns by where its config leaves that to what it starts from."""

from dataclasses import replace
from typing import Any

import pytest

from sdmodel.config.learning import LoraConfig, OptimizerConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig

CHANGES = {"lora": LoraConfig(rank=4), "start": "models/base@1"}


@pytest.mark.parametrize(
    ("pipeline", "config", "kind", "muon_rate", "adam_rate"),
    [
        (False, {}, "muon", 1.2e-2, 3e-3),
        (False, {"start": "models/base@1"}, "muon", 1.2e-2, 3e-3),
        (True, {"start": "/models/sd15"}, "adamw", 4e-5, 1e-5),
        (True, {**CHANGES, "start": "/models/sd15"}, "adamw", 4e-4, 1e-4),
        (False, CHANGES, "adamw", 4e-4, 1e-4),
        (True, {"optimizer": OptimizerConfig(kind="muon")}, "muon", 4e-5, 1e-5),
        (True, {"optimizer": OptimizerConfig(kind="lion")}, "lion", 4e-5, 1e-6),
        (False, {"optimizer": OptimizerConfig(kind="lion")}, "lion", 1.2e-2, 3e-4),
        (True, {"optimizer": OptimizerConfig(adam_rate=2e-4)}, "adamw", 4e-5, 2e-4),
        (False, {"optimizer": OptimizerConfig(muon_rate=0.0)}, "muon", 0.0, 3e-3),
    ],
)
def test_what_is_left_open_follows_from_the_start(
    pipeline: bool, config: dict[str, Any], kind: str, muon_rate: float, adam_rate: float
):
    settled = TrainConfig(**config).starting(pipeline=pipeline)
    assert settled.starting(pipeline=not pipeline) == settled
    learning = settled.learning
    assert learning.kind == settled.optimizer.kind == kind
    assert (learning.muon_rate, learning.adam_rate) == pytest.approx((muon_rate, adam_rate))


def test_without_a_word_of_the_start_a_training_learns_as_from_nothing():
    config = TrainConfig()
    assert config.learning == config.starting(pipeline=False).learning
    changes = TrainConfig(**CHANGES)
    assert changes.learning == changes.starting(pipeline=False).learning


@pytest.mark.parametrize(("batch", "factor"), [(64, 1), (256, 2), (16, 0.5), (128, 2**0.5)])
def test_rates_grow_with_the_root_of_the_batch(batch: int, factor: float):
    """The square root scaling rule of Malladi et al. 2022."""
    config = TrainConfig(batch=batch, optimizer=OptimizerConfig(base_batch=64))
    assert config.learning.adam_rate == pytest.approx(3e-3 * factor)
    assert config.learning.muon_rate == pytest.approx(1.2e-2 * factor)
    assert TrainConfig(batch=batch).learning.adam_rate == 3e-3


def test_text_encoders_have_their_own_rates_where_they_condition():
    config = TrainConfig(
        text=TextConfig(rate=0.1),
        texts=(TextConfig(rate=0.0), TextConfig()),
        optimizer=OptimizerConfig(frozen=("network.stem",), rates={"network.": 0.5}),
    )
    assert config.learning.frozen == ("network.stem", "text.encoders.1.")
    assert config.learning.rates == {"text.encoders.0.": 0.1, "network.": 0.5}
    alone = replace(config, objective="autoencoder", texts=())
    assert alone.learning.frozen == ("network.stem",)
    assert alone.learning.rates == {"network.": 0.5}
