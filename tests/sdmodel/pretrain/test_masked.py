"""Which tokens are hidden, and what stands in their place."""

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdmodel.pretrain.masked import commonest_token, mask_tokens, ordinary_tokens, tokens_of
from sdmodel.text.tokenizer import MASK_ID, Tokenizer
from tests.sdmodel.pretrain.made import CAPTIONS, batch

TOKENIZER = Tokenizer.learn([*CAPTIONS * 2, "a cat"], 40, "words")
WORDS = ordinary_tokens(TOKENIZER)


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "red", "cat", "hat", "zebra"]), max_size=7), min_size=2, max_size=6
    ),
    st.floats(0.01, 0.99),
    st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_a_share_of_each_caption_s_known_words_is_hidden(words: list[list[str]], share: float, seed: int):
    captions = [" ".join(one) for one in words]
    ids = TOKENIZER.token_ids(captions, 10)
    hidden = mask_tokens(TOKENIZER, ids, share, WORDS, batch(captions, seed))
    able = torch.isin(ids, WORDS)
    count = hidden.masked.sum(1)
    expected = (share * able.sum(1)).round().clamp(min=1) * able.any(1)
    assert count.tolist() == expected.tolist()  # one at least; none where there is none
    changed = torch.zeros_like(able).scatter(1, hidden.places, hidden.masked)
    assert torch.equal(hidden.ids[~changed], ids[~changed])
    assert able[changed].all()
    assert torch.equal(hidden.truth[hidden.masked], ids.gather(1, hidden.places)[hidden.masked])
    rows = torch.arange(len(captions))[:, None].expand_as(hidden.places)[hidden.masked]
    assert len({(int(a), int(b)) for a, b in zip(rows, hidden.places[hidden.masked], strict=True)}) == sum(
        count
    )


def test_in_their_place_stand_the_mask_others_and_themselves():
    captions = ["a red cat"] * 4000
    ids = TOKENIZER.token_ids(captions, 5)
    hidden = mask_tokens(TOKENIZER, ids, 0.4, WORDS, many(captions))
    stands = hidden.ids.gather(1, hidden.places)[hidden.masked]
    assert len(stands) == 4000
    masked, same = (stands == MASK_ID).float().mean(), (stands == hidden.truth[hidden.masked]).float().mean()
    assert abs(masked - 0.8) < 0.02
    assert abs(same - 0.1 - 0.1 / len(WORDS)) < 0.02
    assert set(stands.tolist()) == {MASK_ID, *WORDS.tolist()}
    for place in range(1, 4):  # each word as often
        assert abs((hidden.places[hidden.masked] == place).float().mean() - 1 / 3) < 0.03


def many(captions: list[str]):
    """A batch of so many rows without their pictures."""
    few = batch(captions[:1])
    return replace(
        few, captions=captions, uids=captions, index=torch.arange(len(captions)), size=len(captions)
    )


def test_processes_and_parts_hide_what_one_would():
    ids = TOKENIZER.token_ids(CAPTIONS, 8)
    whole = batch()
    expected = mask_tokens(TOKENIZER, ids, 0.3, WORDS, whole).ids
    parts = [whole.micro_batch(number, 3) for number in range(3)]
    each = [mask_tokens(TOKENIZER, TOKENIZER.token_ids(p.captions, 8), 0.3, WORDS, p).ids for p in parts]
    assert torch.equal(torch.cat(each), expected)
    assert not torch.equal(mask_tokens(TOKENIZER, ids, 0.3, WORDS, batch(seed=1)).ids, expected)


class Pieced(Tokenizer):
    """Says two more things of each token: ten and twenty times its id."""

    def token_ids(self, captions, length):
        return self.rows(super().token_ids(captions, length)) + torch.tensor([0, 0, 1])  # as of unknown words

    def rows(self, ids):
        return torch.stack([ids, 10 * ids, 20 * ids], dim=-1)


def test_what_else_is_said_of_a_token_is_hidden_with_it():
    pieced = Pieced(TOKENIZER._tokenizer)
    ids = pieced.token_ids(CAPTIONS, 8)
    hidden = mask_tokens(pieced, ids, 0.5, WORDS, batch())
    plain = mask_tokens(TOKENIZER, ids[..., 0], 0.5, WORDS, batch())
    assert torch.equal(hidden.ids[..., 0], plain.ids)
    changed = hidden.ids[..., 0] != ids[..., 0]
    assert changed.any()
    assert torch.equal(hidden.ids[changed], pieced.rows(plain.ids)[changed])
    assert torch.equal(hidden.ids[~changed][:, 1], 10 * plain.ids[~changed])


def test_the_commonest_token_is_a_word():
    (a,) = (token for token in WORDS.tolist() if TOKENIZER.decode(torch.tensor([[token]])) == ["a"])

    def told(captions: list[str]) -> int:
        return int(commonest_token(TOKENIZER, tokens_of(TOKENIZER, captions, 8), TOKENIZER.special))

    assert told(CAPTIONS) == a
    assert told(["red cat", "red hat"]) != a
    told([])
