"""How many tokens are read of a caption where nobody says it, and what is said of those that are cut."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertModel, T5Config, T5EncoderModel

from sdmodel.config.text import TextConfig
from sdmodel.text import build, lengths
from sdmodel.text.conditioner import TextConditioner
from sdmodel.text.lengths import LEAST, MOST, Truncation, fitting_length
from sdmodel.text.tokenizer import Tokenizer

WORDS = TextConfig(width=8, heads=2, queries=2, tokens="words")


def saying(*words: int) -> list[str]:
    """Captions of so many words."""
    return [" ".join(["a"] * count) for count in words]


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        ([], LEAST),
        ([3] * 10, LEAST),
        ([30] * 10, 32),  # with start and end
        ([31] * 10, 40),
        ([60] * 10, 64),
        ([1000] * 10, MOST),
        ([10] * 98 + [60] * 2, 64),
        ([10] * 99 + [60], LEAST),  # one of a hundred is cut
    ],
)
def test_the_length_follows_the_captions(words: list[int], tokens: int):
    captions = saying(*words)
    encoder = build.learn(WORDS, captions)
    assert encoder.length == encoder.config.length == tokens
    assert encoder.tokenize(["a"])[0].shape == (1, tokens)
    assert build.learn(replace(WORDS, length=7), captions).length == 7


@given(st.lists(st.integers(0, 400), min_size=1))
def test_as_many_are_read_whole_as_is_promised(counts: list[int]):
    found = fitting_length(lambda _: counts, ["a"] * len(counts))
    assert LEAST <= found <= MOST
    assert found % 8 == 0
    assert found == MOST or sum(count <= found for count in counts) >= lengths.FITTING * len(counts)


@pytest.mark.parametrize("kind", ["transformer", "fasttext", "lstm", "bert", "t5"])
def test_what_was_learned_keeps_its_length(kind: str, tmp_path: Path):
    config = replace(WORDS, kind=kind, tokens="words")  # type: ignore[arg-type]
    captions = saying(*[50] * 10)
    encoder = build.learn(config, captions)
    assert encoder.length == 56
    encoder.save(tmp_path, {name: value.contiguous() for name, value in encoder.state_dict().items()})
    assert build.load(tmp_path, encoder.config).length == 56
    assert build.load(tmp_path, config, captions).length == 56


def test_a_pretrained_encoder_reads_no_more_than_it_has_places_for(tmp_path: Path):
    tokenizer = Tokenizer.learn(saying(9, 9), 260)
    shape = {"vocab_size": len(tokenizer), "num_hidden_layers": 1}
    bert = BertConfig(
        **shape, hidden_size=8, intermediate_size=8, num_attention_heads=1, max_position_embeddings=40
    )
    t5 = T5Config(vocab_size=len(tokenizer), d_model=8, d_kv=8, d_ff=8, num_layers=1, num_heads=1)
    for kind, model, expected in (("bert", BertModel(bert), 40), ("t5", T5EncoderModel(t5), 184)):
        model.save_pretrained(tmp_path / kind)
        tokenizer.save(tmp_path / kind)
        config = TextConfig(kind=kind)  # type: ignore[arg-type]
        captions = saying(*[90] * 5)
        assert build.load(tmp_path / kind, config, captions).length == expected
        text = TextConditioner.learn([replace(config, heads=1)], captions, [tmp_path / kind])
        (words,) = lengths.truncation_warnings(text.readers, captions, "Do it.") or [""]
        assert ("100.0% of 5 captions have more than the 40 tokens" in words) == (kind == "bert")


@pytest.mark.parametrize("kind", ["bpe", "words", "characters"])
def test_tokens_are_counted_uncut(kind: str):
    captions = ["", "a red circle", "ünusual words, and a very long line of them " * 9]
    tokenizer = Tokenizer.learn(captions * 2, 300, kind)  # type: ignore[arg-type]
    ids = tokenizer.token_ids(captions, 1000)
    assert tokenizer.count(captions) == (ids != tokenizer.pad).sum(1).tolist()


def test_what_is_cut_is_said():
    cut = Truncation.of([2, 9, 33, 40], 32)
    assert cut == Truncation(captions=4, cut=2, longest=40)
    assert cut.message(32, "Do it.") == (
        "50.0% of 4 captions have more than the 32 tokens that are read of one, and are cut; the longest has "
        "40. Do it."
    )
    assert Truncation.of([2, 32], 32).message(32, "Do it.") == ""
    assert Truncation.total([{"captions": 3, "cut": 1}, {}, {"captions": 1, "cut": 0}]) == Truncation(4, 1)


def test_a_config_that_says_nothing_is_the_same_request_as_zero():
    assert json.loads(json.dumps(TextConfig(length=0).length)) == TextConfig().length == 0
