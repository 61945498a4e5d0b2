import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sdmodel.text.tokenizer import END_ID, PAD_ID, START_ID, Tokenizer

CAPTIONS = [
    f"A {size} {colour} circle, at the left" for size in ("small", "large") for colour in ("red", "blue")
]


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer.learn(CAPTIONS * 2)


def test_captions_come_back(tokenizer: Tokenizer):
    captions = ["a small red circle, at the left", "émoji 🎉 never seen", ""]
    ids = tokenizer.token_ids(captions, 64)
    assert tokenizer.decode(ids) == captions
    assert (ids[:, 0] == START_ID).all()
    assert ((ids == END_ID).sum(1) == 1).all()
    assert ids[2].tolist() == [START_ID, END_ID] + [PAD_ID] * 62


def test_learned_words_are_single_tokens(tokenizer: Tokenizer):
    assert (tokenizer.token_ids(["a large blue circle"], 16) != PAD_ID).sum() == 6  # four words, start, end


def test_long_captions_keep_their_end(tokenizer: Tokenizer):
    ids = tokenizer.token_ids(["a red circle " * 20], 8)
    assert ids.shape == (1, 8)
    assert ids.dtype == torch.int64
    assert ids[0, -1] == END_ID


@pytest.mark.parametrize("tokens", ["bpe", "words", "characters"])
def test_what_looks_like_a_special_token_is_text(tokens: Any):
    tokenizer = Tokenizer.learn(CAPTIONS * 2, 300, tokens)
    (ids,) = tokenizer.token_ids(["red <pad> <end> <mask> hat"], 40)
    kept = ids[: int((ids != PAD_ID).nonzero().max()) + 1].tolist()
    assert (kept[0], kept[-1]) == (START_ID, END_ID)
    assert not {PAD_ID, START_ID, END_ID, tokenizer.mask} & set(kept[1:-1])


def test_vocabulary_is_bounded():
    words = [f"word{i} other{i * 7}" for i in range(2000)] * 2
    assert len(Tokenizer.learn(words, 500)) == 500


def test_the_same_captions_give_the_same_bytes(tmp_path: Path):
    captions = "[f'picture {i % 37} of a {i % 11} thing{i % 5}' for i in range(500)]"
    program = (
        f"from sdmodel.text.tokenizer import *; Tokenizer.learn({captions}).save(Path({str(tmp_path)!r}))"
    )
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true", "PYTHONHASHSEED": "5"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    other = (tmp_path / "tokenizer.json").read_bytes()
    Tokenizer.learn(reversed(eval(captions))).save(tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == other


def test_a_saved_tokenizer_is_the_same(tokenizer: Tokenizer, tmp_path: Path):
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert len(again) == len(tokenizer)
    assert torch.equal(again.token_ids(CAPTIONS, 16), tokenizer.token_ids(CAPTIONS, 16))
