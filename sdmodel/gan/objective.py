"""The gan objective: a generator whose pictures a discriminator must not tell from real ones, and the
discriminator (Goodfellow et al. 2014, arXiv:1406.2661). The discriminator plays first on each batch."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdmodel.adversarial.loss import hinge, logistic, non_saturating
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.gan.choice import discriminator_of, generator_of, shares_right
from sdmodel.gan.diff_augment import diff_augment
from sdmodel.gan.folder import DISCRIMINATOR_WEIGHTS, GENERATOR_WEIGHTS, KIND, read_shape, sample
from sdmodel.gan.networks import gradient_penalty
from sdmodel.gan.relativistic import relativistic
from sdmodel.losses import metrics
from sdmodel.players import Adam, Player
from sdmodel.weights import submodule_weights

GENERATOR, DISCRIMINATOR = "generator", "discriminator"
"""Players."""
SHAPE = ("network", "latent", "channels")
"""Of the config, what decides the weights' shapes."""
LOSSES = {"logistic": logistic, "hinge": hinge, "relativistic": relativistic}
"""The discriminator's."""


class Adversaries(nn.Module):
    """Generator and discriminator with their losses."""

    def __init__(self, config: TrainConfig):
        super().__init__()
        self.config = config
        self.generator = generator_of(config.gan, config.size)
        self.discriminator = discriminator_of(config.gan, config.size)

    def forward(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """Losses of a player's turn on pictures in [-1, 1]: "generator"; or "discriminator" and, where there
        is one, "penalty", and as metrics how often the discriminator is right.

        ValueError: the stream reads latents."""
        if batch.images.shape[1] != 3:
            raise ValueError("the gan objective learns from pixels: train it without encode")
        own = self.config.gan
        if player == GENERATOR:
            return {"generator": self._forged(batch)}
        with torch.no_grad():
            pictures = self.generate(batch, DISCRIMINATOR)
        real, fake = self.judged(batch.images, batch, "real"), self.judged(pictures, batch, DISCRIMINATOR)
        losses = {"discriminator": LOSSES[own.loss](real, fake)}
        if own.penalty:
            losses["penalty"] = self._penalty(batch, batch.images, own.penalty)
        if own.fake_penalty:
            losses["fake_penalty"] = self._penalty(batch, pictures, own.fake_penalty)
        return {**losses, **metrics(shares_right(own, real, fake))}

    def generate(self, batch: Batch, stream: str) -> Tensor:
        """A picture for each row, of noise that is drawn for `stream`."""
        return self.generator(batch.normal(f"{stream} latent", self.config.gan.latent))

    def judged(self, images: Tensor, batch: Batch, stream: str) -> Tensor:
        """Logits (B,) of pictures, changed as the config says."""
        return self.discriminator(diff_augment(images, self.config.gan.augment, batch, stream))

    def _forged(self, batch: Batch) -> Tensor:
        """The generator's loss ()."""
        fake = self.judged(self.generate(batch, GENERATOR), batch, GENERATOR)
        match self.config.gan.loss:
            case "hinge":
                return -fake.mean()
            case "relativistic":
                return relativistic(fake, self.judged(batch.images, batch, "real"))
            case _:
                return non_saturating(fake)

    def _penalty(self, batch: Batch, images: Tensor, weight: float) -> Tensor:
        """Half the squared gradient on pictures of one batch of every `penalty_every`, times as many; 0 on
        the others."""
        every = self.config.gan.penalty_every
        if batch.images_seen // batch.size % every:
            return torch.zeros((), device=images.device)
        return every * weight / 2 * gradient_penalty(self.discriminator, images)


class GanObjective:
    """Trains a generator; `save` writes a folder that `sdmodel.gan.folder.load` reads. Captions are not
    used."""

    whole_batch = False
    readers = ()
    enough = None

    def __init__(self, config: TrainConfig):
        self.config = config
        self.modules = Adversaries(config)

    @property
    def heavy(self) -> list[nn.Module]:
        """The generator. Of the discriminator a gradient's gradient is taken, which compilers know not."""
        return [self.modules.generator]

    @property
    def players(self) -> Sequence[Player]:
        """The discriminator, then the generator, whose pictures it has just judged."""
        own, rate = self.config.gan, self.config.learning.adam_rate
        betas = (own.beta1, own.beta2)
        judge = Adam(rate=rate * own.discriminator_rate, betas=betas)
        return (
            Player(name=DISCRIMINATOR, prefixes=("discriminator.",), adam=judge),
            Player(name=GENERATOR, prefixes=("generator.",), adam=Adam(rate=rate, betas=betas)),
        )

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """The discriminator's logistic or relativistic loss, and how many of the pictures, and of as many
        generated ones, it judges right. It knows pictures by heart where it is better on those that it has
        seen."""
        modules, own, rows = self.modules, self.config.gan, len(batch)
        real = modules.discriminator(batch.images)
        fake = modules.discriminator(modules.generate(batch, DISCRIMINATOR))
        of = torch.full((), float(rows), dtype=torch.float64, device=real.device)
        right = {name: share.double() * rows for name, share in shares_right(own, real, fake).items()}
        counted = {name: torch.stack([sum_, of]) for name, sum_ in right.items()}
        loss = (relativistic if own.loss == "relativistic" else logistic)(real, fake)
        return {"discriminator": loss.double() * rows, **counted}

    def sample(self, captions: list[str], seeds: list[int], size: int = 0) -> Tensor:
        """Pictures (B, 3, S, S) float32 in [-1, 1] on the CPU, each of its seed alone; the model is in
        evaluation mode afterwards. captions: one for each seed, not read. size: the config's, or 0."""
        assert size in (0, self.config.size), size
        return sample(self.modules.generator.eval(), seeds)

    def start(self, folder: Path) -> None:
        """Takes both networks from a folder that `save` wrote.

        ValueError: it holds another kind or shape of model."""
        saved, own = read_shape(folder), self.config.gan
        expected = {"size": self.config.size, **{name: getattr(own, name) for name in SHAPE}}
        theirs = {"size": saved.size, **{name: getattr(saved.gan, name) for name in SHAPE}}
        if theirs != expected:
            raise ValueError(f"{folder}: holds networks of {theirs}; the config asks for {expected}")
        self.modules.generator.load_state_dict(load_file(folder / GENERATOR_WEIGHTS))
        self.modules.discriminator.load_state_dict(load_file(folder / DISCRIMINATOR_WEIGHTS))

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes generator.safetensors, discriminator.safetensors and config.json."""
        for part, file in (("generator.", GENERATOR_WEIGHTS), ("discriminator.", DISCRIMINATOR_WEIGHTS)):
            save_file(submodule_weights(weights, part), folder / file)
        shape = {"size": self.config.size, "gan": dataclasses.asdict(self.config.gan)}
        about = {"kind": KIND, "model": shape}
        (folder / "config.json").write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")
