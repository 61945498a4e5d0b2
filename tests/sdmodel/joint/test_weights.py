"""Weights of two losses."""

import math
from typing import Any

import pytest
import torch

from sdmodel.config.limits import ConfigError
from sdmodel.config.representation import JointConfig
from sdmodel.joint.weights import LossWeights, Term, alpha, uncertainty_weighted
from sdmodel.losses import total

TERMS = {
    "denoising": Term(torch.full((8, 3), 0.04), torch.linspace(0.1, 0.9, 8)),
    "joint": Term(torch.full((8,), 3.0), torch.linspace(0.1, 0.9, 8)),
}


def weighed(images_seen: int = 0, **values: Any) -> dict[str, float]:
    weights = LossWeights(JointConfig(kind="contrastive", **values), images=1000)
    return {name: loss.item() for name, loss in weights(TERMS, images_seen).items()}


def test_fixed_is_alpha_and_one_minus_alpha():
    losses = weighed(alpha=0.25)
    assert losses["metric/denoising"] == pytest.approx(0.04)
    assert losses["metric/joint"] == pytest.approx(3)
    assert losses["denoising_weighted"] == pytest.approx(0.75 * 0.04)
    assert losses["joint_weighted"] == pytest.approx(0.25 * 3)
    assert (losses["metric/weight_joint"], losses["metric/weight_denoising"]) == (0.25, 0.75)


@pytest.mark.parametrize(("decay", "halfway"), [("linear", (0.8 + 0.2) / 2), ("cosine", (0.8 + 0.2) / 2)])
def test_a_schedule_begins_with_self_supervision_and_ends_with_denoising(decay: Any, halfway: float):
    values = {"weights": "schedule", "alpha": 0.8, "alpha_end": 0.2, "over": 0.5, "decay": decay}
    found = [weighed(seen, **values)["metric/weight_joint"] for seen in (0, 250, 500, 900)]
    assert found == pytest.approx([0.8, halfway, 0.2, 0.2])
    config = JointConfig(kind="masked", **values)  # type: ignore[arg-type]
    quarter = alpha(config, 0.125)
    expected = 0.65 if decay == "linear" else 0.2 + 0.6 * (1 + math.cos(math.pi / 4)) / 2
    assert quarter == pytest.approx(expected)


def test_an_uncertainty_is_least_at_the_logarithm_of_the_loss():
    """exp(-s) L + s (Kendall et al. 2017, equation 7): at s = log L, where it is 1 + log L."""
    for loss in (0.04, 3.0):
        s = torch.tensor(math.log(loss), requires_grad=True)
        value, weight = uncertainty_weighted(torch.tensor(loss), s)
        value.backward()
        assert s.grad is not None
        assert s.grad.item() == pytest.approx(0, abs=1e-6)
        assert value.item() == pytest.approx(1 + math.log(loss), rel=1e-5)
        assert weight.item() == pytest.approx(1 / loss, rel=1e-5)


@pytest.mark.parametrize("kind", ["uncertainty", "noise_level"])
def test_learned_weights_go_to_one_over_the_loss(kind: Any):
    weights = LossWeights(JointConfig(kind="contrastive", weights=kind), images=1000)
    optimizer = torch.optim.Adam(weights.parameters(), 0.05)
    first = {name: loss.item() for name, loss in weights(TERMS, 0).items()}
    assert first["metric/weight_joint"] == first["metric/weight_denoising"] == 1
    for _ in range(400):
        optimizer.zero_grad()
        total(weights(TERMS, 0)).backward()
        optimizer.step()
    last = weights(TERMS, 0)
    assert last["metric/weight_joint"].item() == pytest.approx(1 / 3, rel=0.05)
    assert last["metric/weight_denoising"].item() == pytest.approx(25, rel=0.05)
    assert last["metric/denoising"].item() == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"alpha": 0.3}, "alpha"),
        ({"kind": "masked", "embedding": 8}, "embedding"),
        ({"kind": "contrastive", "hidden": 0.3}, "hidden"),
        ({"kind": "contrastive", "alpha_end": 0.1}, "alpha_end"),
        ({"kind": "contrastive", "weights": "uncertainty", "alpha": 0.3}, "alpha"),
        ({"kind": "contrastive", "weights": "noise_level", "over": 0.3}, "over"),
    ],
)
def test_options_that_nothing_reads_are_refused(values: dict[str, Any], key: str):
    with pytest.raises(ConfigError, match=rf"{key}=.* is read by nothing here"):
        JointConfig(**values)
