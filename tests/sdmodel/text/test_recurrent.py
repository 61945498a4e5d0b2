from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from sdmodel.config.text import TextConfig, TextKind
from sdmodel.text.build import learn, load
from sdmodel.text.recurrent import Recurrent, RecurrentStack, reverse_tokens

CAPTIONS = ["a red hat on two blue cats"] * 2
KINDS: dict[TextKind, type[nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def made(kind: TextKind, **changes: object) -> Recurrent:
    torch.manual_seed(0)
    config = TextConfig(**{"kind": kind, "width": 8, "length": 12, "vocabulary": 300, **changes})  # type: ignore[arg-type]
    encoder = learn(config, CAPTIONS)
    assert isinstance(encoder, Recurrent)
    return encoder


def stacked(stack: RecurrentStack, way: str = "") -> dict[str, Tensor]:
    """Weights by the names that torch's own stack has for them."""
    return {
        f"{name.removesuffix('0')}{number}{way}": value
        for number, layer in enumerate(stack.layers)
        for name, value in layer.state_dict().items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_one_layer_is_torchs_own_in_both_directions(kind: TextKind):
    encoder = made(kind)
    plain = KINDS[kind](8, 4, batch_first=True, bidirectional=True)
    plain.load_state_dict(stacked(encoder.onward) | stacked(encoder.back, "_reverse"))

    ids, mask = encoder.tokenize(["a red hat"])
    count = int(mask.sum())
    told, last = plain(encoder.token(ids[:, :count]))
    last = last[0] if kind == "lstm" else last  # h, without c
    states, pooled = encoder(ids, mask)
    assert_close(states[:, :count], F.layer_norm(told, (8,)))
    assert_close(pooled, F.layer_norm(torch.cat([last[0], last[1]], 1), (8,)))


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_a_direction_are_torchs_own_stack(kind: TextKind):
    encoder = made(kind, layers=3)
    ids, mask = encoder.tokenize(["a red hat"])
    count = int(mask.sum())
    x = encoder.token(ids[:, :count])
    (onward, there), (back, before) = encoder.causal_states(ids, mask)
    assert (there, before) == (1, -1)
    plain = KINDS[kind](8, 4, 3, batch_first=True)
    plain.load_state_dict(stacked(encoder.onward))
    assert_close(onward[:, :count], plain(x)[0])
    plain.load_state_dict(stacked(encoder.back))
    assert_close(back[:, :count], plain(x.flip(1))[0].flip(1))


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers_is_torchs_generators(kind: TextKind):
    encoder = made(kind, layers=2, dropout=0.5).train()
    told: list[Tensor] = []
    for _ in range(2):
        torch.manual_seed(7)
        told.append(encoder.encode_captions(["a red hat"]).states)
    assert torch.equal(told[0], told[1])
    assert not torch.equal(told[0], encoder.encode_captions(["a red hat"]).states)
    assert not any(layer.dropout for layer in encoder.modules() if isinstance(layer, nn.RNNBase))


def test_each_caption_is_turned_within_itself():
    x = torch.arange(10.0).view(2, 5, 1)
    told = reverse_tokens(x, torch.tensor([3, 5]))[..., 0]
    assert told.tolist() == [[2, 1, 0, 3, 4], [9, 8, 7, 6, 5]]


@pytest.mark.filterwarnings("error")
def test_dropout_of_a_single_layer_brings_no_warning():
    made("lstm", dropout=0.5)


def test_one_kind_does_not_take_the_others_weights(tmp_path: Path):
    encoder = made("rnn")
    encoder.save(tmp_path, encoder.state_dict())
    with pytest.raises(ValueError, match="holds rnn"):
        load(tmp_path, TextConfig(kind="gru"))
