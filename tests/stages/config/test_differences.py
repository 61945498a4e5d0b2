"""Differences of two canonical configs, with defaults in the place of what is left out."""

from dataclasses import replace

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from stages.config.differences import differences
from stages.fingerprint import canonical_config


def between(config: TrainConfig, other: TrainConfig) -> dict[str, tuple[object, object]]:
    return differences(canonical_config(config), canonical_config(other))


def test_keys_are_dotted_and_values_are_both():
    config = TrainConfig(batch=8, optimizer=OptimizerConfig(muon_rate=0.5))
    assert between(config, config) == {}
    assert between(config, TrainConfig(seed=1, threads=4)) == {
        "batch": (8, 64),
        "optimizer.muon_rate": (0.5, None),
        "seed": (0, 1),
    }


def test_blocks_of_a_list_are_compared_one_by_one():
    config = TrainConfig(texts=(TextConfig(width=32), TextConfig()))
    assert between(config, replace(config, texts=(TextConfig(width=32), TextConfig(rate=0.5)))) == {
        "texts.1.rate": (1.0, 0.5)
    }
    assert between(config, TrainConfig()) == {"texts": (2, 0), "texts.0.width": (32, 64)}
