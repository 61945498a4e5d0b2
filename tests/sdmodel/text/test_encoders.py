"""The laws of `sdmodel/text/encoder.py`, asked of every kind."""

from pathlib import Path
from typing import TypeVar, get_args

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from sdmodel.config.text import TextConfig, TextKind
from sdmodel.text import build
from sdmodel.text.conditioner import TextConditioner
from sdmodel.text.encoder import TextEncoder

KINDS: tuple[TextKind, ...] = get_args(TextKind)
SEEN = ["red", "hat", "on", "two", "blue", "cats", "a", "of"]
WORDS = [*SEEN, "reddish", "ünseen", "<pad>", "!"]
LENGTH = 12
M = TypeVar("M", bound=nn.Module)
CAPTIONS = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)

quickly = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


def config_of(kind: TextKind, **changes: object) -> TextConfig:
    shape = {"width": 8, "layers": 2, "heads": 2, "queries": 2, "length": LENGTH, "vocabulary": 320}
    return TextConfig(**{"kind": kind, "buckets": 50, **shape, **changes})  # type: ignore[arg-type]


def shaken(module: M) -> M:
    """None of its weights is zero or one, as after a few steps."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(torch.randn_like(p), alpha=0.3)
    return module.eval()


def learned(kind: TextKind, **changes: object) -> TextEncoder:
    torch.manual_seed(0)
    return shaken(build.learn(config_of(kind, **changes), [" ".join(SEEN)] * 2))


@pytest.fixture(scope="module", params=KINDS)
def encoder(request: pytest.FixtureRequest) -> TextEncoder:
    """Shared: don't change it."""
    return learned(request.param)


def alone(encoder: TextEncoder, caption: str) -> tuple[Tensor, Tensor]:
    """States and pooled of a caption by itself and without any padding."""
    ids, mask = encoder.tokenize([caption])
    tokens = int(mask.sum())
    states, pooled = encoder(ids[:, :tokens], mask[:, :tokens])
    return states[0], pooled[0]


@quickly
@given(captions=st.lists(CAPTIONS, min_size=1, max_size=4))
def test_a_caption_is_read_alike_in_any_batch_with_any_padding(encoder: TextEncoder, captions: list[str]):
    with torch.no_grad():
        told = encoder.encode_captions(captions)
        assert told.pooled.shape == (len(captions), encoder.width)
        assert told.states.shape == (len(captions), encoder.length, encoder.width)
        assert told.pooled.dtype == told.states.dtype == torch.float32
        for row, caption in enumerate(captions):
            states, pooled = alone(encoder, caption)
            assert_close(told.states[row][told.mask[row]], states)
            assert_close(told.pooled[row], pooled)
    assert not told.states[~told.mask].any()


def test_what_stands_at_padding_reaches_nothing(encoder: TextEncoder):
    def disturb(module: nn.Module, inputs: object, embedded: Tensor) -> Tensor:
        return embedded + 9 * (torch.arange(LENGTH) >= 6)[:, None]

    ids, mask = encoder.tokenize(["a red hat", ""])
    assert not mask[:, 6:].any()
    clean = encoder(ids, mask)
    with encoder.embedding.register_forward_hook(disturb):
        assert_close(encoder(ids, mask), clean)


def test_disturbed_embeddings_disturb_what_is_read(encoder: TextEncoder):
    ids, mask = encoder.tokenize(["a red hat"])
    assert encoder.embedding(ids).shape[:2] == mask.shape
    with encoder.embedding.register_forward_hook(lambda *made: made[2] + torch.randn_like(made[2])):
        assert not torch.isclose(encoder(ids, mask)[1], encoder(ids, mask)[1]).any()


def test_a_dropped_caption_is_the_empty_one(encoder: TextEncoder):
    dropped = encoder.encode_captions(["a red hat", "two cats"], torch.tensor([True, False]))
    told = encoder.encode_captions(["", "two cats"])
    assert_close((dropped.pooled, dropped.states), (told.pooled, told.states))
    assert torch.equal(dropped.mask, told.mask)


def test_gradients_reach_every_parameter(encoder: TextEncoder):
    ids, mask = encoder.tokenize(["a reddish hat on two blue cats", "a hat"])
    states, pooled = encoder(ids, mask)
    names, parameters = zip(*encoder.named_parameters(), strict=True)
    found = torch.autograd.grad(states.sum() + pooled.sum(), parameters, allow_unused=True)
    assert [name for name, one in zip(names, found, strict=True) if one is None or not one.any()] == []


def test_under_autocast_a_caption_is_told_in_float32(encoder: TextEncoder):
    captions = ["a reddish hat", "a hat"]
    with torch.autocast("cpu", torch.bfloat16):
        told = encoder.encode_captions(captions)
    assert told.states.dtype == told.pooled.dtype == torch.float32
    found = torch.autograd.grad((told.states.sum() + told.pooled.sum()), list(encoder.parameters()))
    assert all(one.isfinite().all() for one in found)
    assert_close(told.states, encoder.encode_captions(captions).states, atol=0.3, rtol=0.1)


def test_what_is_saved_and_loaded_is_the_same_encoder(encoder: TextEncoder, tmp_path: Path):
    encoder.save(tmp_path, encoder.state_dict())
    again = build.load(tmp_path, config_of(encoder.config.kind)).eval()
    captions = ["a reddish hat", "ünseen cats", ""]
    told, retold = encoder.encode_captions(captions), again.encode_captions(captions)
    assert torch.equal(told.pooled, retold.pooled)
    assert torch.equal(told.states, retold.states)

    shorter = build.load(tmp_path, config_of(encoder.config.kind, length=4, rate=0.0)).eval()
    assert (shorter.length, shorter.config.rate) == (4, 0.0)
    assert shorter.encode_captions(captions).states.shape == (3, 4, 8)
    assert shorter.encode_captions([" ".join(SEEN)]).mask.all()


def test_a_folder_of_another_kind_is_refused(encoder: TextEncoder, tmp_path: Path):
    encoder.save(tmp_path, encoder.state_dict())
    other = KINDS[KINDS.index(encoder.config.kind) - 1]
    with pytest.raises(ValueError, match=f'text.kind="{other}" needs one of its own kind'):
        build.load(tmp_path, config_of(other))


def test_dropout_is_for_learning_alone(encoder: TextEncoder):
    half = learned(encoder.config.kind, dropout=0.5)
    assert_close(half.encode_captions(["a red hat"]).pooled, encoder.encode_captions(["a red hat"]).pooled)
    half.train()
    assert not torch.equal(
        half.encode_captions(["a red hat"]).pooled, half.encode_captions(["a red hat"]).pooled
    )


def test_rows_of_known_tokens_are_those_of_captions(encoder: TextEncoder):
    ids, _ = encoder.tokenize(["a red hat on two cats"])
    tokens = ids if ids.ndim == 2 else ids[..., 0]
    assert torch.equal(encoder.tokenizer.rows(tokens), ids)
    assert int(tokens.max()) < len(encoder.tokenizer)
    hidden = encoder.tokenizer.rows(torch.tensor([[encoder.tokenizer.mask]]))
    assert hidden.shape == ids[:, :1].shape
    assert encoder.tokenizer.mask in encoder.tokenizer.special


@quickly
@given(place=st.integers(0, 7))
def test_states_that_look_ahead_know_nothing_of_what_they_foretell(encoder: TextEncoder, place: int):
    if type(encoder).causal_states is TextEncoder.causal_states:
        return  # it sees whole captions, see below
    ids, mask = encoder.tokenize([" ".join(SEEN)])
    ways = encoder.causal_states(ids, mask)
    assert ways
    other = ids.clone()
    other[:, place] = encoder.tokenizer.rows(torch.tensor([encoder.tokenizer.mask]))
    changed = encoder.causal_states(other, mask)
    for (states, offset), (states_changed, _) in zip(ways, changed, strict=True):
        knows = torch.arange(LENGTH) >= place if offset == 1 else torch.arange(LENGTH) <= place
        assert_close(states[:, ~knows], states_changed[:, ~knows])
        assert not torch.isclose(states[:, place], states_changed[:, place]).all()


def test_who_sees_whole_captions_has_nothing_to_foretell(encoder: TextEncoder):
    if type(encoder).causal_states is not TextEncoder.causal_states:
        return  # its law is the one above
    with pytest.raises(ValueError, match="has nothing to foretell"):
        encoder.causal_states(*encoder.tokenize(["a red hat"]))


def test_who_can_look_ahead():
    able = {
        kind
        for kind in KINDS
        if build.encoder_of(config_of(kind)).causal_states is not TextEncoder.causal_states
    }
    assert able == {"rnn", "gru", "lstm", "transformer", "clip"}


@pytest.mark.parametrize("place", range(len(KINDS)), ids=KINDS)
def test_two_encoders_joined_obey_the_laws(place: int):
    torch.manual_seed(0)
    first, second = config_of(KINDS[place - 1]), config_of(KINDS[place], width=12, length=9)
    joined = shaken(TextConditioner.learn((first, second), [" ".join(SEEN)] * 2))
    captions = ["a reddish hat", "", " ".join(SEEN)]
    told = joined.encode_captions(captions)
    for row, caption in enumerate(captions):
        assert_close(joined.encode_captions([caption]).states, told.states[row : row + 1])
        assert_close(joined.encode_captions([caption]).pooled, told.pooled[row : row + 1])
    dropped = joined.encode_captions(captions, torch.tensor([True, False, False]))
    assert_close(dropped.states[0], told.states[1])
    names, parameters = zip(*joined.named_parameters(), strict=True)
    found = torch.autograd.grad(told.pooled.sum(), parameters, allow_unused=True)
    assert [name for name, one in zip(names, found, strict=True) if one is None or not one.any()] == []
