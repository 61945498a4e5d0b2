import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sdmodel.config.learning import OptimizerConfig
from sdmodel.train.optim.muon import Muon, orthogonal
from sdmodel.train.optim.optimizers import optimizers
from sdmodel.train.optim.roles import Layout


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)])
def test_singular_values_come_near_one(shape: tuple[int, int]):
    g = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(g))
    assert (values > 0.5).all()
    assert (values < 1.25).all()
    u, _, vh = torch.linalg.svd(g, full_matrices=False)
    cosine = torch.cosine_similarity(orthogonal(g).flatten(1), (u @ vh).flatten(1))
    assert (cosine > 0.97).all()  # the nearest orthogonal matrix is U V^T


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("shape", [(12, 12), (24, 6), (6, 24)])
def test_a_step_is_that_of_torch(shape: tuple[int, int], decay: float):
    """torch.optim.Muon iterates in bfloat16, so steps agree to its precision."""
    start = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    ours, peers = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    muon = Muon([ours], lr=0.1, weight_decay=decay)
    peer = torch.optim.Muon([peers], lr=0.1, weight_decay=decay, adjust_lr_fn="original")
    for step in range(4):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(2 + step))
        ours.grad, peers.grad = gradient.clone(), gradient.clone()
        muon.step()
        peer.step()
    assert (ours - peers).abs().max() < 0.03 * (ours - start).abs().max()


LAYOUTS = [Layout(1, 3), Layout(2, 2), Layout(transposed=True)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_matrices_in_one_weight_are_learned_as_if_apart(layout: Layout):
    start, gradient = torch.randn(2, 12, 4, generator=torch.Generator().manual_seed(0))
    whole = nn.Parameter(start.clone())
    apart = [nn.Parameter(part.clone()) for part in layout.split(start)]
    whole.grad = gradient
    for p, part in zip(apart, layout.split(gradient), strict=True):
        p.grad = part.clone()
    Muon([whole], lr=0.1, weight_decay=0.1, layout=layout).step()
    Muon(apart, lr=0.1, weight_decay=0.1).step()
    torch.testing.assert_close(layout.split(whole.detach()), torch.stack([p.detach() for p in apart]))


def test_queries_of_one_size_do_not_outweigh_keys_of_another():
    """Together, a gradient that is large in one part would leave the others nearly where they are."""
    gradient = (
        torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
        * torch.tensor([100.0, 1, 1e-2])[:, None, None]
    )
    fused = nn.Parameter(torch.zeros(24, 8))
    fused.grad = gradient.flatten(0, 1)
    Muon([fused], lr=1.0, layout=Layout(1, 3)).step()
    norms = torch.linalg.matrix_norm(fused.detach().unflatten(0, (3, 8)))
    torch.testing.assert_close(norms, norms.mean().expand(3), rtol=0.15, atol=0)


def test_groups_of_other_rates_share_an_iteration_and_keep_their_rates():
    start, gradient = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0))
    slow, fast = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    slow.grad = fast.grad = gradient
    Muon([{"params": [slow], "lr": 0.01}, {"params": [fast], "lr": 0.1}], lr=0.0).step()
    torch.testing.assert_close((fast - start).detach(), 10 * (slow - start).detach(), rtol=1e-4, atol=1e-6)


@given(width=st.sampled_from([8, 16, 64]), ratio=st.sampled_from([0.5, 1, 4]))
@settings(max_examples=9, deadline=None)
def test_one_rate_moves_outputs_alike_at_every_width(width: int, ratio: float):
    """The spectral norm of a step is that of its shape: one, or the root of how much wider it gets."""
    p = nn.Parameter(torch.zeros(int(width * ratio), width))
    p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    Muon([p], lr=1.0).step()
    norm = torch.linalg.matrix_norm(p.detach(), 2) / max(1, ratio) ** 0.5
    assert 0.65 < norm < 1.25


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
    (muon,) = optimizers(linear, OptimizerConfig(muon_rate=1e-5).optimization(8))
    for _ in range(20):
        linear.weight.grad = torch.eye(4)
        muon.step()
    assert linear.weight.dtype == torch.float32
    assert (linear.weight.diagonal() < 1 - 1e-4).all()
