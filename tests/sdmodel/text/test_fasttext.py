import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from sdmodel.config.text import TextConfig
from sdmodel.text.fasttext import ENCODER as FASTTEXT
from sdmodel.text.fasttext import FastText
from sdmodel.text.subwords import PIECES, Subwords, fnv1a, ngram_hashes

CAPTIONS = ["a red hat", "two Red hats"] * 2
CONFIG = TextConfig(kind="fasttext", width=8, length=6, vocabulary=50, buckets=300)


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    return Subwords.learn(CAPTIONS, 50, (3, 5), 300)


@pytest.fixture(scope="module")
def fasttext() -> FastText:
    torch.manual_seed(0)
    return FASTTEXT.learn(CONFIG, CAPTIONS)


@pytest.mark.parametrize(("text", "value"), [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)])
def test_fnv1a_is_that_of_its_authors_test_vectors(text: str, value: int):
    assert fnv1a(text) == value


def test_pieces_are_those_of_the_papers_example():
    # Section 3.2: "where" with n = 3 is <wh, whe, her, ere, re>.
    assert ngram_hashes("where", (3, 3)) == tuple(map(fnv1a, ["<wh", "whe", "her", "ere", "re>"]))


@given(word=st.text(min_size=1, max_size=40), shortest=st.integers(1, 4), more=st.integers(0, 3))
def test_a_words_pieces_are_all_its_substrings_of_these_lengths(word: str, shortest: int, more: int):
    wrapped, lengths = f"<{word}>", range(shortest, shortest + more + 1)
    found = ngram_hashes(word, (shortest, shortest + more))
    every = [fnv1a(wrapped[i : i + n]) for n in lengths for i in range(len(wrapped) - n + 1)]
    assert list(found) == every[:PIECES]


def test_a_caption_becomes_its_words_with_their_pieces(subwords: Subwords):
    ids = subwords.token_ids(["A REDDISH hat", "two hats on a hat"], 5)
    assert ids.shape == (2, 5, 1 + PIECES)
    names = {0: "", 1: "<start>", 2: "<end>", 4: "<unknown>"}
    known = {word: int(subwords.token_ids([word], 3)[0, 1, 0]) for word in ("a", "hat", "two", "hats")}
    names |= {id: word for word, id in known.items()}
    words = [[names[id] for id in row] for row in ids[..., 0].tolist()]
    assert words == [
        ["<start>", "a", "<unknown>", "hat", "<end>"],
        ["<start>", "two", "hats", "<unknown>", "<end>"],
    ]
    assert (ids[0, 2, 1:] > 0).sum() == 7 + 6 + 5  # n-grams of 3, 4 and 5 of the 9 characters <reddish>
    assert not ids[0, [0, 4], 1:].any()
    assert int(ids[..., 1:].max()) < subwords.rows_needed == len(subwords) + 300
    assert int(ids[..., 1:][ids[..., 1:] > 0].min()) >= len(subwords)


def test_names_of_special_tokens_are_words_like_others(subwords: Subwords):
    assert not set(subwords.token_ids(["<pad> <mask> <end>"], 16)[0, 1:10, 0].tolist()) & {0, 1, 2, 3}


def test_what_is_saved_and_loaded_gives_the_same_ids(subwords: Subwords, tmp_path: Path):
    subwords.save(tmp_path)
    again = Subwords.load(tmp_path)
    assert torch.equal(again.token_ids(["unseen red"], 5), subwords.token_ids(["unseen red"], 5))
    assert json.loads((tmp_path / "subwords.json").read_text()) == {"ngrams": [3, 5], "buckets": 300}


def test_a_words_vector_is_the_mean_of_its_bag(fasttext: FastText):
    """As nn.EmbeddingBag has it, and without it."""
    ids, mask = fasttext.tokenize(["a red hat"])
    table = fasttext.words.table.weight.detach()
    bag = torch.nn.EmbeddingBag.from_pretrained(table, mode="mean", padding_idx=0)
    states, pooled = fasttext(ids, mask)
    assert_close(states[0, :5], F.layer_norm(bag(ids[0, :5]), (8,)))
    word = ids[0, 2]
    assert_close(states[0, 2], F.layer_norm(table[word[word > 0]].mean(0), (8,)))
    assert_close(pooled[0], states[0, :5].mean(0))


def test_unknown_words_live_from_their_pieces(fasttext: FastText):
    ids, mask = fasttext.tokenize(["reddish", "red", "xyz"])
    with torch.no_grad():
        reddish, red, xyz = fasttext(ids, mask)[0][:, 1]
    table, bag = fasttext.words.table.weight.detach(), ids[0, 1, 1:]
    assert_close(reddish, F.layer_norm(table[bag[bag > 0]].mean(0), (8,)))
    assert torch.dot(reddish, red) > torch.dot(xyz, red)  # they share <re, red and <red


def test_order_says_nothing(fasttext: FastText):
    pooled = fasttext.encode_captions(["a red hat", "hat red a"]).pooled
    assert_close(pooled[0], pooled[1])
