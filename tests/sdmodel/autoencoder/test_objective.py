import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from torch.distributions import Normal, kl_divergence

from sdmodel.autoencoder.module import kl
from sdmodel.autoencoder.objective import AutoencoderObjective
from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.evaluate.regression import figures

CONFIG = TrainConfig(
    objective="autoencoder", size=16, autoencoder=AutoencoderConfig(channels=(8, 16), latent=2, groups=4)
)


def objective(config: TrainConfig = CONFIG, seed: int = 0) -> AutoencoderObjective:
    torch.manual_seed(seed)
    return AutoencoderObjective(config)


def batch(start: int = 0, end: int = 8, size: int = 16) -> Batch:
    """Rows of a global batch of 8 smooth pictures."""
    coarse = torch.rand(8, 3, 2, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")[start:end]
    names = [str(row) for row in range(start, end)]
    return Batch(
        images=images, captions=names, uids=names, index=torch.arange(start, end), size=8, start=start
    )


def losses(made: AutoencoderObjective, rows: Batch, seed: int = 0) -> dict[str, torch.Tensor]:
    return made.modules(replace(rows, seed=seed))


def saved(made: AutoencoderObjective, folder: Path) -> Path:
    folder.mkdir()
    made.save(folder, {name: value.clone().contiguous() for name, value in made.modules.state_dict().items()})
    return folder


def trained(steps: int) -> AutoencoderObjective:
    made = objective()
    optimizer = torch.optim.AdamW(made.modules.parameters(), 3e-3)
    for step in range(steps):
        torch.stack(list(made.modules(replace(batch(), seed=step)).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return made


def test_the_divergence_is_that_of_normal_distributions():
    mean, log_variance = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    found = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl(mean, log_variance), found.sum((1, 2, 3)))


def test_pictures_are_learned_and_diffusers_loads_them(tmp_path: Path):
    rows = batch()
    before = losses(objective(), rows)["reconstruction"].item()
    made = trained(60)
    after = losses(made, rows)["reconstruction"].item()
    assert after < before / 3
    vae = AutoencoderKL.from_pretrained(saved(made, tmp_path / "model"), local_files_only=True)
    with torch.no_grad():
        posterior = vae.encode(rows.images).latent_dist
        back = vae.decode(posterior.mean).sample
        error = figures(made.errors(rows))
    assert error["mae"] == pytest.approx((back - rows.images).abs().mean().item(), rel=1e-5)
    assert error["r2"] > 0.5
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".safetensors"}
    # What its config says of latents is what they are.
    held = json.loads((tmp_path / "model/config.json").read_text())
    z = posterior.sample(torch.Generator().manual_seed(0))
    assert held["latents_mean"] == pytest.approx(z.mean((0, 2, 3)).tolist(), abs=0.3)
    mean, deviation = torch.tensor(held["latents_mean"]), torch.tensor(held["latents_std"])
    both = torch.cat([mean + deviation, mean - deviation])  # has their mean and deviation
    assert held["shift_factor"] == pytest.approx(both.mean().item(), abs=1e-5)
    assert 1 / held["scaling_factor"] == pytest.approx(both.std(correction=0).item(), rel=1e-4)


def test_statistics_are_of_the_latents_seen_in_training_alone():
    made = objective()
    made.modules.eval()
    losses(made, batch())
    assert made.modules.seen == 0
    made.modules.train()
    first, second = batch(0, 4), batch(4, 8)
    losses(made, first)
    losses(made, second)
    mean, log_variance = (part.detach() for part in made.modules.posterior(batch().images))
    noise = torch.cat([rows.normal("latent", *mean.shape[1:]) for rows in (first, second)])
    z = mean + (log_variance / 2).exp() * noise
    torch.testing.assert_close(made.modules.mean, z.mean((0, 2, 3)))
    torch.testing.assert_close(made.modules.square, z.square().mean((0, 2, 3)))


def test_processes_share_one_loss_and_noise_depends_on_the_seed():
    made = objective()
    halves = [losses(made, batch(0, 4)), losses(made, batch(4, 8))]
    whole = losses(made, batch())
    for name, value in whole.items():
        torch.testing.assert_close((halves[0][name] + halves[1][name]) / 2, value)
    assert losses(made, batch(), seed=1)["reconstruction"] != whole["reconstruction"]


def test_every_weight_has_a_gradient():
    made = objective()
    torch.stack(list(losses(made, batch()).values())).sum().backward()
    assert [name for name, p in made.modules.named_parameters() if p.grad is None] == []


def test_a_posterior_beyond_all_bounds_has_a_finite_loss():
    made = objective()
    torch.nn.init.constant_(made.modules.vae.quant_conv.bias, 1e4)
    assert all(loss.isfinite() for loss in losses(made, batch()).values())


def test_a_training_starts_from_its_own_folder_and_from_a_pipeline_s(tmp_path: Path):
    made = trained(2)
    made.modules.eval()
    saved(made, tmp_path / "model")
    (tmp_path / "pipeline").mkdir()
    saved(made, tmp_path / "pipeline" / "vae")
    for folder in ("model", "pipeline"):
        other = objective(seed=1)
        other.start(tmp_path / folder)
        other.modules.eval()
        torch.testing.assert_close(losses(other, batch()), losses(made, batch()))
        assert all(p.dtype == torch.float32 and p.requires_grad for p in other.modules.parameters())
    wide = replace(CONFIG, autoencoder=replace(CONFIG.autoencoder, latent=4))
    with pytest.raises(ValueError, match="'latent_channels': 2"):
        objective(wide).start(tmp_path / "model")
    with pytest.raises(ValueError, match="holds no AutoencoderKL"):
        made.start(tmp_path)


def test_latents_are_refused():
    rows = batch()
    with pytest.raises(ValueError, match="8 channels: train it without encode"):
        losses(objective(), replace(rows, images=torch.zeros(8, 8, 4, 4)))


def test_pictures_need_not_be_square():
    made, rows = objective(), batch()
    wide = replace(rows, images=torch.cat([rows.images, rows.images.flip(-1)], dim=-1))  # (8, 3, 16, 32)
    found = losses(made, wide)
    assert all(loss.isfinite() and loss > 0 for loss in found.values())
    found["reconstruction"].backward()
    assert made.modules.vae.decoder.conv_out.weight.grad.abs().sum() > 0
    mean = made.modules.posterior(wide.images)[0]
    assert mean.shape == (8, 2, 8, 16)
