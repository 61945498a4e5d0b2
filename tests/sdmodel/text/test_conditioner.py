"""What a denoiser is told of captions."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from sdmodel.config.text import TextConfig
from sdmodel.text.conditioner import TextConditioner

CONFIG = TextConfig(width=16, heads=2, queries=3, length=8, vocabulary=300)
WORDS = ["a red hat", "a blue cat", "two green hats"]


@pytest.fixture(scope="module")
def captions() -> TextConditioner:
    torch.manual_seed(0)
    wider = replace(CONFIG, width=24, tokens="words", length=6, rate=0.0, dropout=0.5)
    return TextConditioner.learn((CONFIG, wider), WORDS * 2).eval()


def test_a_dropped_caption_is_the_empty_one(captions: TextConditioner):
    dropped = captions.encode_captions(WORDS[:2], torch.tensor([True, False]))
    told = captions.encode_captions(["", WORDS[1]])
    assert_close(dropped.pooled, told.pooled)
    assert_close(dropped.states, told.states)
    assert torch.equal(dropped.mask, told.mask)


def test_states_of_several_encoders_are_joined(captions: TextConditioner):
    told = captions.encode_captions(WORDS)
    assert (captions.pooled_width, captions.token_width) == (48, 16)
    assert told.pooled.shape == (3, 48)
    assert told.states.shape == (3, 8 + 6, 16)
    assert_close(told.states[:, :8], captions.each()[0].encode_captions(WORDS).states)
    assert told.mask[0].tolist() == [True] * 5 + [False] * 3 + [True] * 5 + [False]


def test_what_is_frozen_has_no_dropout(captions: TextConditioner):
    captions.train()
    assert captions.each()[0].training
    assert not captions.each()[1].training
    assert captions.pool.training


def test_each_encoder_is_saved_as_one_to_start_from(captions: TextConditioner, tmp_path: Path):
    weights = {f"text.{name}": value for name, value in captions.state_dict().items()}
    rest = captions.save(tmp_path / "text", weights, "text.")
    assert sorted(rest) == sorted(name for name in weights if not name.startswith("text.encoders."))
    configs = tuple(encoder.config for encoder in captions.each())
    again = TextConditioner.load(configs, tmp_path / "text")
    again.load_state_dict({name.removeprefix("text."): value for name, value in rest.items()}, strict=False)
    assert_close(again.eval().encode_captions(WORDS).pooled, captions.eval().encode_captions(WORDS).pooled)

    # One begins with them, the other with random weights and its own words.
    started = TextConditioner.learn(configs, ["other words"] * 2, [tmp_path / "text/0", None])
    first, second = started.each()
    assert_close(first.encode_captions(WORDS).states, captions.each()[0].encode_captions(WORDS).states)
    assert len(second.tokenizer) < len(captions.each()[1].tokenizer)
