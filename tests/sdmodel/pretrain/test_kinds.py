"""Every kind of text encoder is pretrained by the same objective."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from sdmodel.config.text import TextConfig, TextKind
from sdmodel.text import build
from tests.sdmodel.pretrain.made import CAPTIONS, EVERYTHING, batch, config, labels, objective

READS_ON = ("transformer", "rnn", "gru", "lstm", "clip")
"""Kinds that can foretell a token."""


def text(kind: Any) -> TextConfig:
    return TextConfig(
        kind=kind, width=16, heads=2, length=8, vocabulary=40, tokens="words", buckets=50, kernels=(1, 3)
    )


@pytest.mark.parametrize("kind", get_args(TextKind))
def test_every_parameter_of_every_kind_learns_from_everything(kind: str, tmp_path: Path):
    following = 1.0 if kind in READS_ON else 0.0
    chosen = config(text(kind), **{**EVERYTHING, "contrastive": 0.0, "next": following})
    made = objective(chosen, labels(tmp_path))
    optimizer = torch.optim.AdamW(made.modules.parameters(), 1e-2)
    totals: list[float] = []
    for _ in range(4):
        optimizer.zero_grad()
        losses = made.modules(batch())
        total = torch.stack(list(losses.values())).sum()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert ("next" in losses) == (kind in READS_ON)
    assert totals[-1] < totals[0]
    assert [name for name, p in made.modules.named_parameters() if p.grad is None] == []

    folder = tmp_path / "model"
    folder.mkdir()
    weights = {name: w.detach().clone().contiguous() for name, w in made.modules.state_dict().items()}
    made.save(folder, weights)
    again = build.load(folder, chosen.text).eval()
    expected = made.modules.encoder.eval().encode_captions(CAPTIONS).pooled
    torch.testing.assert_close(again.encode_captions(CAPTIONS).pooled, expected)
    other = objective(chosen, labels(tmp_path), seed=1)
    other.start(folder)
    assert all(torch.equal(value, weights[name]) for name, value in other.modules.state_dict().items())


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_the_next_token_alone_leaves_no_parameter_without_a_gradient(kind: str):
    """Those that only whole captions pass have 0: DistributedDataParallel awaits one of each."""
    made = objective(config(text(kind), contrastive=0.0, next=1.0))
    losses = made.modules(batch())
    assert set(losses) == {"next"}
    losses["next"].backward()
    assert [name for name, p in made.modules.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_what_follows_is_learned(kind: str):
    made = objective(config(text(kind), contrastive=0.0, next=1.0))
    optimizer = torch.optim.AdamW(made.modules.parameters(), 1e-2)
    for _ in range(60):
        made.modules(batch())["next"].backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        found = made.errors(batch())
    right, constant = (float(found[name][0] / found[name][1]) for name in ("next_right", "next_constant"))
    # After "a" come three colours, after a colour four things: of four tokens two are certain.
    assert 0.5 < right < 0.9
    assert right > constant
