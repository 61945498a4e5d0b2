"""Latents that are drawn from a prior."""

import torch

from sdmodel.autoencoder.prior import PriorSampler, fitted_latents, standard_latents
from sdmodel.latents.autoencoder import FrozenAutoencoder
from tests.sdmodel.autoencoder.test_objective import batch, objective


def test_a_fitted_gaussian_has_the_mean_and_covariance_of_what_it_is_fitted_to():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(4, 4, generator=generator)
    latents = (torch.randn(50, 4, generator=generator) @ mixing + 3).view(50, 1, 2, 2)
    drawn = fitted_latents(range(40_000), latents).flatten(1)
    truth = latents.flatten(1)
    torch.testing.assert_close(drawn.mean(0), truth.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), truth.T.cov(), atol=0.15, rtol=0.05)


def test_a_latent_is_of_its_seed_alone():
    latents = torch.randn(5, 2, 2, 2)
    for draw in (
        lambda seeds: fitted_latents(seeds, latents),
        lambda seeds: standard_latents(seeds, (2, 2, 2)),
    ):
        assert torch.equal(draw([7, 3])[1], draw([3])[0])
        assert not torch.equal(draw([7, 3])[1], draw([7, 3])[0])


def test_pictures_come_from_either_prior():
    vae = FrozenAutoencoder(objective().modules.vae)
    fitted, standard = (PriorSampler(vae, batch().images, fitted=fitted) for fitted in (True, False))
    pictures = [sampler.sample(["", ""], [1, 2]) for sampler in (fitted, standard)]
    assert all(drawn.shape == (2, 3, 16, 16) and drawn.abs().max() <= 1 for drawn in pictures)
    assert not torch.equal(*pictures)
