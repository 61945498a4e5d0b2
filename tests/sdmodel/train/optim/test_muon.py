import pytest
import torch
from torch import nn

from sdmodel.config.learning import OptimizerConfig
from sdmodel.train.optim.muon import Muon, orthogonal
from sdmodel.train.optim.optimizers import optimizers


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)])
def test_singular_values_come_near_one(shape: tuple[int, int]):
    g = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(g))
    assert (values > 0.5).all()
    assert (values < 1.25).all()
    u, _, vh = torch.linalg.svd(g, full_matrices=False)
    cosine = torch.cosine_similarity(orthogonal(g).flatten(1), (u @ vh).flatten(1))
    assert (cosine > 0.97).all()  # the nearest orthogonal matrix is U V^T


@pytest.mark.parametrize("shape", [(12, 12), (24, 6), (6, 24)])
def test_a_step_is_that_of_torch(shape: tuple[int, int]):
    """torch.optim.Muon iterates in bfloat16, so steps agree to its precision."""
    start = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    ours, peers = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    muon = Muon([ours], lr=0.1)
    peer = torch.optim.Muon([peers], lr=0.1, weight_decay=0.0, adjust_lr_fn="original")
    for step in range(4):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(2 + step))
        ours.grad, peers.grad = gradient.clone(), gradient.clone()
        muon.step()
        peer.step()
    assert (ours - peers).abs().max() < 0.03 * (ours - start).abs().max()


def test_matrices_of_one_shape_don_t_mix():
    generator = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(2, 8, 8, generator=generator), torch.randn(2, 8, 8, generator=generator)

    def step(rows: list[int]) -> list[nn.Parameter]:
        parameters = [nn.Parameter(start[row].clone()) for row in rows]
        for p, row in zip(parameters, rows, strict=True):
            p.grad = gradients[row].clone()
        Muon(parameters, lr=0.1).step()
        return parameters

    for row, p in enumerate(step([0, 1])):
        torch.testing.assert_close(p, step([row])[0])


def test_small_steps_are_not_lost():
    """In bfloat16 a weight of 1 does not move at a rate of 1e-4; ours are float32."""
    linear = nn.Linear(4, 4, bias=False)
    nn.init.ones_(linear.weight)
    (muon,) = optimizers(linear, OptimizerConfig(muon_rate=1e-5))
    for _ in range(20):
        linear.weight.grad = torch.eye(4)
        muon.step()
    assert linear.weight.dtype == torch.float32
    assert (linear.weight.diagonal() < 1 - 1e-4).all()
