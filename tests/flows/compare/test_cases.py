"""What differs between the cases of a comparison, and what does not."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from flows.compare.cases import (
    KINDS,
    MODES,
    Comparison,
    denoiser,
    name_of,
    pretraining,
    text_of,
    world,
)

COMPARISON = Comparison(pictures="two", store="somewhere")


def same(configs: Iterable[Any]) -> bool:
    first, *others = configs
    return bool(others) and all(other == first for other in others)


@pytest.mark.parametrize("kind", KINDS)
def test_modes_differ_in_how_the_encoder_begins_and_learns_alone(kind: Any):
    made = {mode: denoiser(kind, mode, 1, 640, "models/one@latest") for mode in MODES}
    texts = {mode: (config.text.start, config.text.rate) for mode, config in made.items()}
    assert texts == {
        "frozen": ("models/one@latest", 0.0),
        "joint": ("models/one@latest", 1.0),
        "random": ("", 1.0),
    }
    assert same(replace(config, text=text_of(kind)) for config in made.values())
    assert made["frozen"].text == replace(text_of(kind), start="models/one@latest", rate=0.0)


def test_encoders_differ_in_their_kind_alone():
    made = [denoiser(kind, "random", 0, 640, "") for kind in KINDS]
    assert {config.text.kind for config in made} == set(KINDS)
    assert same(replace(config, text=text_of("lstm")) for config in made)
    early = [pretraining(COMPARISON, kind, 0) for kind in KINDS]
    assert same(replace(config, text=text_of("lstm")) for config in early)


def test_what_is_pretrained_is_what_a_denoiser_starts_from():
    for kind in KINDS:
        assert pretraining(COMPARISON, kind, 0).text == text_of(kind)
    assert pretraining(COMPARISON, "gru", 0, emoji=True).images == COMPARISON.emoji_images
    assert name_of("gru", "pretrained", 2) == "text-gru-pretrained-2"


def test_seeds_are_seeds_of_all_trainings():
    assert [denoiser("gru", "joint", seed, 640, "").seed for seed in range(3)] == [0, 1, 2]
    assert [pretraining(COMPARISON, "gru", seed).seed for seed in range(3)] == [0, 1, 2]
    assert len({name_of("gru", "joint", seed) for seed in range(3)}) == 3


def test_every_training_has_one_core():
    for config in (denoiser("gru", "joint", 0, 640, ""), pretraining(COMPARISON, "gru", 0)):
        assert (config.device, config.processes, config.threads) == ("cpu", 1, 1)


def test_pictures_are_asked_of_the_oracle_of_two_groups():
    run = world(COMPARISON, "two", "text-two")
    assert (run.evaluate.oracle, run.evaluate.oracle_samples) == ("two", COMPARISON.samples)
    assert run.collect.folders[0].folder == "two"
    assert run.store == "somewhere"


def test_equal_time_is_whole_batches():
    comparison = replace(COMPARISON, seconds=10)
    assert comparison.images(100.0) == 1024  # 1,000 to the nearest 64
    assert comparison.images(0.01) == 64


def test_cases_are_counted():
    few = Comparison(pictures="two", kinds=("gru", "lstm"), seeds=3)
    assert few.cases == 2 * 3 * 4
    assert replace(few, emoji="emoji").cases == 2 * 3 * 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": 0}, "seeds=0: take more"),
        ({"seconds": 0.0}, "seconds=0: take more"),
        ({"kinds": ()}, "kinds=0: take more"),
        ({"at_once": -1}, "at_once=-1: take more"),
        ({"samples": 0}, "samples=0: take more"),
        ({"kinds": ("lstm", "lstm")}, "kinds=lstm, lstm: name each once"),
    ],
)
def test_mistakes_are_named(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        replace(COMPARISON, **wrong)
