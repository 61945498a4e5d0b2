"""A text-to-image diffusion model: text encoder, denoiser, and the space in which it denoises."""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from sdmodel.alignment.alignment import Alignment
from sdmodel.condition import Condition, ConditionValues
from sdmodel.conditions.conditions import Conditions, Given
from sdmodel.conditions.picture import PictureCondition
from sdmodel.config.picture import PICTURE
from sdmodel.config.sampling import OURS, TIMESTEPS, Sampling
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.denoise.uncertainty import Uncertainty
from sdmodel.denoise.unet2d import UNet2D
from sdmodel.joint.joint import JointTraining
from sdmodel.joint.weights import Term
from sdmodel.latents.autoencoder import FrozenAutoencoder
from sdmodel.latents.space import PIXELS, Space
from sdmodel.latents.text import FrozenTextEncoder
from sdmodel.noise.interpolation import interpolate
from sdmodel.noise.prediction import clean
from sdmodel.noise.process import ForwardProcess
from sdmodel.selfsupervised.teacher import Teacher
from sdmodel.text.lengths import CaptionReader
from sdmodel.text.unread import UnreadCaptions


class CaptionEncoder(Protocol):
    """What reads captions: a module that learns, or a `FrozenTextEncoder`, which does not."""

    pooled_width: int
    """P of `Condition`."""
    token_width: int
    """D of `Condition`."""
    padded: bool
    """Whether captions have tokens that are not to be attended to."""

    @property
    def readers(self) -> Sequence[CaptionReader]:
        """What reads captions, each so many tokens of one."""
        ...

    def encode_captions(self, captions: list[str], dropped: Tensor | None = None) -> Condition:
        """B captions; "" stands for no caption, and is taken where `dropped` (B,) bool is true."""
        ...


class Diffusion(nn.Module):
    """Text encoder, denoiser and their loss. Frozen encoders are no parts of the module: they have no weights
    to learn, average or save again and again."""

    def __init__(
        self,
        config: TrainConfig,
        text: CaptionEncoder,
        network: nn.Module,
        process: ForwardProcess,
        space: Space = PIXELS,
        autoencoder: FrozenAutoencoder | None = None,
        own: Collection[str] = (),
        teacher: Teacher | None = None,
        conditions: Conditions | None = None,
    ):
        """Args:
        config: size, noise and caption dropout.
        text: a module learns; a `FrozenTextEncoder` does not, and batches bring its states.
        network: the denoiser, see `sdmodel.denoise.build`.
        process: what the network predicts, at which times it learns.
        space: of the denoiser's arrays.
        autoencoder: makes pictures of them; None in pixel space.
        own: "network" or "condition", where the caller brought that class: a model's folder cannot name
            it.
        teacher: of an alignment "repa".
        conditions: what is known beside the caption; None: nothing.

        ValueError: features are to be aligned of a network that gives none."""
        super().__init__()
        self.config = config
        self.text = text
        self.network = network
        self.process = process
        self.space = space
        self.autoencoder = autoencoder
        self.own = frozenset(own)
        self.conditions = conditions
        self.uncertainty = Uncertainty() if process.loss == "learned" else None
        self._empty: Condition | None = None
        # After all that is published, whose first weights are the same with it or without.
        aligned = config.alignment.kind != "none"
        self.alignment = Alignment(config, network, teacher) if aligned else None
        joint = config.joint.kind != "none"
        self.joint = JointTraining(config, network, space.channels) if joint else None

    @property
    def sampling(self) -> Sampling:
        """How pictures are drawn unless told otherwise; nothing is left open."""
        defaults = TIMESTEPS if self.process.schedule.discrete else OURS
        if isinstance(self.text, UnreadCaptions):  # there is nothing to be guided to
            defaults = replace(defaults, guidance=1.0)
        return self.config.sampling.over(defaults)

    @property
    def layout(self) -> tuple[str | None, dict[str, Any]]:
        """The network's name and its config, of a UNet of diffusers that of diffusers; none of one that the
        caller brought."""
        if "network" in self.own:
            return None, {}
        name = self.config.network
        if isinstance(self.network, UNet2D):
            return name, self.network.settings
        return name, asdict(getattr(self.config, name))

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        return next(self.network.parameters()).device

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """{"denoising": scalar}: the error of what is predicted at random times, measured as the forward
        process says. Where it is weighed by a learned uncertainty, "denoising" is the error before that, and
        "uncertainty" what the loss has besides. An alignment adds "alignment_weighted", and metrics, a
        feature prior that is learned along its error, "prior". With joint training the losses are
        "denoising_weighted" and "joint_weighted", and "denoising" is a metric."""
        process = self.process
        x_0 = self.clean(batch)
        t = process.times(batch, x_0[0, 0].numel())
        eps = process.noise(batch, x_0.shape[1:])
        dropped = batch.uniform("caption dropout") < self.config.caption_dropout
        captions, given = self._parts(batch, dropped)
        condition = captions if self.conditions is None else self.conditions(captions, given)
        taps = self._taps(batch)
        predicted, features = self._predict(interpolate(x_0, eps, t), t, condition, batch, taps)
        error = process.error(predicted, x_0, eps, t)
        if self.joint is None:
            losses = self._denoising(error, t)
        else:
            trunk = functools.partial(self._trunk, batch, self.joint.layer)
            first = features.get(self.joint.layer) if self.joint.compares else None
            losses = self.joint(batch, x_0, process, trunk, Term(error, t), first)
        if self.conditions is not None:
            losses |= self.conditions.losses(captions, given, batch)
        if self.alignment is not None:
            losses |= self.alignment(features.get(self.alignment.layer), batch)
        return losses

    def _denoising(self, error: Tensor, t: Tensor) -> dict[str, Tensor]:
        if self.uncertainty is None:
            return {"denoising": error.mean()}
        plain = error.detach().mean()
        return {"denoising": plain, "uncertainty": self.uncertainty(error, t).mean() - plain}

    def predict(
        self, x_t: Tensor, t: Tensor, condition: Condition, augmented: Tensor | None = None
    ) -> Tensor:
        """What the network predicts of x_t (B, C, h, w) at times t (B,), with what x_t itself adds to the
        condition."""
        arguments = (x_t, t, self._seen(condition, x_t))
        # A network that the caller brings need not know of what is not there.
        predicted = self.network(*arguments) if augmented is None else self.network(*arguments, augmented)
        return cast(Tensor, predicted)

    def _seen(self, condition: Condition, x_t: Tensor) -> Condition:
        """With what x_t (B, C, h, w) itself adds."""
        return condition if self.conditions is None else self.conditions.noisy(condition, x_t)

    def _taps(self, batch: Batch) -> tuple[int, ...]:
        """Where hidden features are needed of a batch, ascending."""
        layers: set[int] = set()
        if self.alignment is not None and self.alignment.reads(batch):
            layers.add(self.alignment.layer)
        if self.joint is not None and self.joint.compares:
            layers.add(self.joint.layer)
        return tuple(sorted(layers))

    def _predict(
        self, x_t: Tensor, t: Tensor, condition: Condition, batch: Batch, taps: tuple[int, ...]
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """What the network predicts, and hidden features (B, C, h, w) by tap."""
        if not taps:  # a network that the caller brings need not have any
            return self.predict(x_t, t, condition, batch.augmented), {}
        condition = self._seen(condition, x_t)
        predicted, features = self.network(x_t, t, condition, batch.augmented, taps=taps)
        return predicted, dict(zip(taps, features, strict=True))

    def _trunk(self, batch: Batch, layer: int, x_t: Tensor, t: Tensor) -> Tensor:
        """Hidden features (B, C, h, w) of noisy arrays that neither a caption nor a condition tells of."""
        captions = self._captions(batch, torch.ones_like(t, dtype=torch.bool))
        nothing = captions if self.conditions is None else self.conditions(captions, {})
        nothing = self._seen(nothing, x_t)
        _, features = self.network(x_t, t, nothing, batch.augmented, taps=(layer,), trunk=True)
        return features[0]

    def clean(self, batch: Batch) -> Tensor:
        """What the denoiser shall estimate, (B, C, h, w): pixels, or a sample of the cached posteriors."""
        images = batch.images
        if not self.space.latent:
            return self.space.normalised(images, images)
        return self.space.normalised(images, batch.normal("latent", self.space.channels, *images.shape[2:]))

    def condition(self, batch: Batch, dropped: Tensor | None = None) -> Condition:
        """A batch's captions, cached or encoded; the empty one where `dropped` (B,) bool is true. With what
        is known of its rows beside them, of which some is dropped too, unless `dropped` is None."""
        captions, given = self._parts(batch, dropped)
        return captions if self.conditions is None else self.conditions(captions, given)

    def _parts(self, batch: Batch, dropped: Tensor | None) -> tuple[Condition, Given]:
        """The captions alone, and what is known of the rows beside them."""
        conditions = self.conditions
        if conditions is None:
            return self._captions(batch, dropped), {}
        if dropped is not None:
            dropped = dropped | conditions.all_dropped(batch)
        given = conditions.of_batch(batch, drop=dropped is not None)
        return self._captions(batch, dropped), given

    def _captions(self, batch: Batch, dropped: Tensor | None) -> Condition:
        if batch.text is not None:
            return batch.text if dropped is None else batch.text.replaced(dropped, self.empty)
        return self._encoded(batch.captions, dropped)

    @property
    def empty(self) -> Condition:
        """The empty caption of a frozen text encoder, where the denoiser is."""
        if self._empty is None or self._empty.pooled.device != self.device:
            assert isinstance(self.text, FrozenTextEncoder)  # batches that bring states are of one
            self._empty = self.text.empty.to(self.device)
        return self._empty

    def encode_captions(
        self,
        captions: list[str],
        dropped: Tensor | None = None,
        given: Given | None = None,
    ) -> Condition:
        """Captions as the denoiser reads them; "" stands for no caption, and is taken where `dropped` (B,)
        bool is true. With what is `given` of them by condition, as `known` reads it; None: nothing."""
        condition = self._encoded(captions, dropped)
        if self.conditions is None:
            return condition
        moved = {name: values and values.to(self.device) for name, values in (given or {}).items()}
        return self.conditions(condition, moved)

    def known(self, conditions: Mapping[str, Sequence[Any]], count: int) -> dict[str, ConditionValues]:
        """What is asked of `count` pictures beside their captions, by condition, as `ConditionLayout.parse`
        reads it; of a condition that is not named what it takes for None.

        ValueError: there is no such condition or value, or another number of them than pictures."""
        modules = self.conditions.modules_by_name if self.conditions else {}
        if unknown := sorted(set(conditions) - set(modules)):
            knows = f"it knows {', '.join(modules)}" if modules else "it was taught none beside the caption"
            raise ValueError(f"the model has no condition {', '.join(map(repr, unknown))}; {knows}")
        for name, values in conditions.items():
            if len(values) != count:
                raise ValueError(
                    f"condition {name!r} has {len(values)} values for {count} pictures; each takes one, or "
                    "None"
                )
        return {
            name: module.layout.parse(conditions.get(name, [None] * count))
            for name, module in modules.items()
        }

    def _encoded(self, captions: list[str], dropped: Tensor | None) -> Condition:
        if isinstance(self.text, FrozenTextEncoder):
            self.text.to(self.device)
        return self.text.encode_captions(captions, dropped)

    def put_away(self) -> None:
        """Moves frozen encoders to the CPU, where they take no memory of a training's; they come when they
        are needed."""
        cpu = torch.device("cpu")
        if isinstance(self.text, FrozenTextEncoder):
            self.text.to(cpu)
        if self.autoencoder is not None:
            self.autoencoder.to(cpu)
        if self.picture is not None:
            self.picture.encoder.to(cpu)

    @property
    def picture(self) -> PictureCondition | None:
        """The condition that is a picture; None: there is none."""
        module = self.conditions.modules_by_name.get(PICTURE) if self.conditions else None
        return module if isinstance(module, PictureCondition) else None

    def drawn(
        self, captions: list[str], seeds: Sequence[int], known: Mapping[str, ConditionValues]
    ) -> dict[str, ConditionValues]:
        """What is known of pictures to draw, B of them, with the features that a prior draws for those that
        are shown none, each of its caption and its seed alone."""
        picture = self.picture
        if picture is None or picture.prior is None:
            return dict(known)
        features = picture.draw(self._encoded(captions, None), known[PICTURE], seeds)
        return {**known, PICTURE: features}

    def denoise(
        self, x_t: Tensor, t: Tensor, condition: Condition, augmented: Tensor | None = None
    ) -> Tensor:
        """The clean arrays that are expected behind x_t (B, C, h, w) at times t (B,)."""
        x_t, t = self.process.known(x_t, t)
        return clean(self.process.prediction, self.predict(x_t, t, condition, augmented), x_t, t)

    def target(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] as the denoiser shall estimate them, (B, C, h, w): pixels, or the
        means of their posteriors."""
        if self.autoencoder is None:
            return images.to(self.device)
        moments = self.autoencoder.to(self.device).moments(images).to(self.device)
        return self.space.normalised(moments, torch.zeros_like(moments[:, : self.space.channels]))

    def pictures(self, x: Tensor) -> Tensor:
        """Arrays (B, C, h, w) as pictures (B, 3, H, W), about [-1, 1]."""
        x = self.space.restored(x)
        return x if self.autoencoder is None else self.autoencoder.to(self.device).decode(x)
