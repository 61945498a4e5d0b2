"""A condition that is a picture: what a frozen image encoder sees in it, behind the caption's tokens, among
what modulates each block, or beside x_t.

The picture is a reference that somebody shows (Ye et al. 2023, arXiv:2308.06721), x_t itself, or one whose
features a prior draws (Li et al. 2023, arXiv:2312.03701). While learning, references are views of the picture
that is to be denoised, and a prior's features are its own; when drawing there is no such picture.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel import philox
from sdmodel.condition import Condition, ConditionValues
from sdmodel.conditions.interface import ConditionModule, Embedding, Placement
from sdmodel.config.learning import DataConfig
from sdmodel.config.picture import PICTURE, PictureConfig
from sdmodel.data.batch import Batch
from sdmodel.data.index import Index
from sdmodel.features.encoder import Features, FrozenImageEncoder, load_image_encoder
from sdmodel.features.prior import FeaturePrior
from sdmodel.features.reference import DRAWS, reference

KIND = "picture"
JOINED = (
    *("join", "channels", "tokens", "prior_width", "prior_blocks"),
    *("token_width", "caption_width"),
)
"""Of what is described, what shapes the weights."""
NULL = 0.02
"""Deviation of the learned nulls as they begin."""


@dataclass(frozen=True)
class PictureLayout:
    """Whose features they are, and how they reach the network."""

    config: PictureConfig
    encoder: FrozenImageEncoder
    size: int
    """Pixels to a side of the squares that pictures are seen as."""
    token_width: int = 0
    """D of `Condition`; 0 until `beside`."""
    caption_width: int = 0
    """Channels of `caption_vector`; 0 until `beside`."""
    name: str = PICTURE

    @classmethod
    def of(cls, config: PictureConfig, encoder: Path | None, size: int, *, latent: bool) -> Self:
        """That of a training, for captions of any width.

        encoder: its folder. latent: the training sees no pixels. ValueError: it sees none, there is no
        encoder, or one that was taught no noise is to look at x_t."""
        if encoder is None:
            raise ValueError(
                "conditions.picture: no image encoder to see pictures by; name one in train.encoder"
            )
        if latent:
            raise ValueError(
                f"conditions.picture.source={config.source!r}: pictures are seen in pixels, and this "
                "training reads cached latents; leave encode.autoencoder empty, or conditions.picture out"
            )
        frozen = load_image_encoder(encoder)
        if config.source == "noisy" and not frozen.noised:
            raise ValueError(
                'conditions.picture.source="noisy": the encoder has never seen noise; train one with '
                "selfsupervised.noised above 0"
            )
        return cls(config, frozen, size)

    @classmethod
    def read(cls, raw: dict[str, Any], encoder: FrozenImageEncoder) -> Self:
        """What `described` wrote."""
        known = {field.name for field in fields(PictureConfig)}
        chosen: dict[str, Any] = {key: value for key, value in raw.items() if key in known}
        chosen["join"] = tuple(raw["join"])
        return cls(PictureConfig(**chosen), encoder, raw["size"], raw["token_width"], raw["caption_width"])

    def beside(self, pooled_width: int, token_width: int) -> Self:
        """The same beside captions of these widths, P and D of `Condition`."""
        return replace(self, token_width=token_width, caption_width=pooled_width or token_width)

    @property
    def guidance(self) -> float:
        """Of x_t's own features 1: they are always there."""
        return 1.0 if self.config.source == "noisy" else self.config.guidance

    @property
    def whole(self) -> bool:
        """Whether a picture is known as pooled features alone, without maps."""
        return self.config.source == "prior" or "channels" not in self.config.join

    def described(self) -> dict[str, Any]:
        """As JSON: what the weights mean."""
        config = {**asdict(self.config), "join": list(self.config.join), "name": self.name}
        widths = {name: getattr(self, name) for name in ("size", "token_width", "caption_width")}
        return {"kind": KIND, **config, **widths}

    def differences(self, other: "PictureLayout") -> list[str]:
        """What of another's decides its weights and is otherwise here; the encoder's own weights too."""
        mine, theirs = self.described(), other.described()
        differ = [name for name in ("source", *JOINED) if mine[name] != theirs[name]]
        return differ if self.encoder.equals(other.encoder) else [*differ, "encoder"]

    def rows(self, index: Index, data: DataConfig) -> None:
        """None: a picture is read off the batch."""

    def parse(self, given: Sequence[Any]) -> ConditionValues:
        """Values (B, 3, S, S) float32 of pictures (3, H, W) float32 in [-1, 1], each scaled and cropped to
        its middle square; None of one leaves it out. ValueError: one is no such tensor, or none can be
        shown."""
        if self.config.source == "noisy" and any(each is not None for each in given):
            raise ValueError(
                "this model sees x_t's own features and takes no picture; train one with "
                'conditions.picture.source "reference" or "prior"'
            )
        pictures = [
            torch.zeros(3, self.size, self.size) if each is None else self._square(each) for each in given
        ]
        present = torch.tensor([each is not None for each in given], dtype=torch.bool)
        return ConditionValues(torch.stack(pictures), present)

    def build(self, placement: Placement) -> "PictureCondition":
        """Its module."""
        return PictureCondition(self, placement)

    def _square(self, picture: Any) -> Tensor:
        if not isinstance(picture, Tensor) or picture.ndim != 3 or len(picture) != 3:
            shape = tuple(picture.shape) if isinstance(picture, Tensor) else type(picture).__name__
            raise ValueError(
                f"a picture is a tensor (3, H, W) of pixels in [-1, 1], not {shape}; `sdflow generate` takes "
                "a file by --image"
            )
        side = min(picture.shape[1:])
        top, left = ((length - side) // 2 for length in picture.shape[1:])
        square = picture.detach().cpu().float()[None, :, top : top + side, left : left + side]
        if side != self.size:
            square = F.interpolate(
                square, (self.size, self.size), mode="bilinear", antialias=side > self.size
            )
        return square[0].clamp(-1, 1)


class PictureCondition(ConditionModule):
    """Projects features of pictures to tokens, normalised (Ye et al. 2023, section 3.2.1), to a part of what
    modulates the network, and to channels: the sum of all maps, each projected by 1 x 1, at the sides of the
    finest (as Lin et al. 2017, arXiv:1612.03144, join levels), so that what stands where and what the whole
    picture says both get there. Where nothing but pooled features is known, they are spread over space."""

    adamw_layers = ("token", "modulation", "beside.*")

    def __init__(self, layout: PictureLayout, placement: Placement) -> None:
        super().__init__(layout)
        self.config, self.encoder, self.whole = layout.config, layout.encoder, layout.whole
        width, join = self.encoder.width, self.config.join
        example = self.encoder.features(torch.zeros(1, 3, layout.size, layout.size)).maps
        self.sides = (1, 1) if layout.whole else tuple(example[0].shape[2:])
        if "token" in join:
            self.token = nn.Linear(width, self.config.tokens * layout.token_width)
            self.norm = nn.LayerNorm(layout.token_width)
        if "modulation" in join:
            self.pooled_width = placement.width
            self.modulation = nn.Linear(width, placement.width)
        if "channels" in join:
            self.channels = self.config.channels
            widths = [width] if layout.whole else [maps.shape[1] for maps in example]
            self.beside = nn.ModuleList(nn.Conv2d(each, self.channels, 1) for each in widths)
        if self.config.source != "noisy":  # what x_t shows is always there
            shapes = {
                "token": (self.config.tokens, layout.token_width),
                "modulation": (placement.width,),
                "channels": (self.channels, 1, 1),
            }
            self.null = nn.ParameterDict(
                {name: nn.Parameter(torch.randn(shapes[name]) * NULL) for name in sorted(join)}
            )
        self.prior = (
            FeaturePrior(width, layout.caption_width, self.config.prior_width, self.config.prior_blocks)
            if self.config.source == "prior"
            else None
        )

    def of_batch(self, batch: Batch) -> ConditionValues | None:
        """References are views of a batch's pictures, (B, 3, H, W), a prior's values their pooled features,
        (B, F). ValueError: the batch has no pixels."""
        if self.config.source == "noisy":
            return None
        everywhere = torch.ones(len(batch), dtype=torch.bool, device=batch.images.device)
        if batch.images.shape[1] != 3:
            raise ValueError(
                "conditions.picture: the batch brings latents, and pictures are seen in pixels; train it "
                "without encode.autoencoder"
            )
        if self.config.source == "prior":
            return ConditionValues(self.encoder.pooled(batch.images), everywhere)
        u = batch.uniform("reference", DRAWS)
        return ConditionValues(reference(batch.images, u, self.config), everywhere)

    def forward(self, given: ConditionValues | None, rows: int) -> Embedding:
        """Pictures (B, 3, H, W) in [-1, 1] or pooled features (B, F), embedded; rows without one are the
        null, to the bit. Of x_t's own features nothing, see `noisy`."""
        if self.config.source == "noisy":
            return Embedding()
        if given is None:
            return self._null(rows)
        return self._chosen(self._embedding(self.features(given.values)), given.present)

    def noisy(self, x_t: Tensor) -> Embedding:
        """What x_t (B, 3, H, W) itself shows, where that is the condition."""
        if self.config.source != "noisy":
            return Embedding()
        return self._embedding(self.features(x_t))

    def features(self, values: Tensor) -> Features:
        """Of pictures (B, 3, H, W) in [-1, 1], or of their pooled features (B, F); no more than is joined."""
        if values.ndim == 4 and not self.whole:
            return self.encoder.features(values)
        pooled = values.float() if values.ndim == 2 else self.encoder.pooled(values)
        return Features(pooled, [pooled[:, :, None, None]])

    def _embedding(self, features: Features) -> Embedding:
        token = modulation = channels = None
        if "token" in self.config.join:
            tokens = self.token(features.pooled).unflatten(1, (self.config.tokens, -1))
            token = self.norm(tokens).float()
        if "modulation" in self.config.join:
            modulation = self.modulation(features.pooled).float()
        if "channels" in self.config.join:
            levels = [layer(maps) for layer, maps in zip(self.beside, features.maps, strict=True)]
            sides = levels[0].shape[2:] if self.config.source == "noisy" else self.sides
            channels = torch.stack([_resized(level, sides) for level in levels]).sum(0)
        return Embedding(modulation, token, channels)

    def _null(self, rows: int) -> Embedding:
        """Of rows without a picture."""
        null = self.null
        return Embedding(
            null["modulation"].expand(rows, -1) if "modulation" in null else None,
            null["token"].expand(rows, -1, -1) if "token" in null else None,
            null["channels"].expand(rows, -1, *self.sides) if "channels" in null else None,
        )

    def _chosen(self, embedding: Embedding, present: Tensor) -> Embedding:
        """The embedding, but the null where `present` (B,) is false."""

        def chosen(values: Tensor | None, null: Tensor | None) -> Tensor | None:
            if values is None or null is None:
                return None
            return torch.where(present.view(-1, *[1] * (values.ndim - 1)), values, null)

        null = self._null(len(present))
        return Embedding(
            chosen(embedding.pooled, null.pooled),
            chosen(embedding.tokens, null.tokens),
            chosen(embedding.channels, null.channels),
        )

    def losses(self, captions: Condition, given: ConditionValues, batch: Batch) -> dict[str, Tensor]:
        """The prior's error on pooled features, given the captions, of which dropped ones are empty."""
        if self.prior is None:
            return {}
        return {"prior": self.prior.loss(given.values, caption_vector(captions), batch).mean()}

    def draw(self, captions: Condition, shown: ConditionValues, seeds: Sequence[int]) -> ConditionValues:
        """Pooled features (B, F): of the pictures that are shown, and where none is what the prior draws for
        the caption, each of its seed alone."""
        assert self.prior is not None
        place = captions.states.device
        first = torch.zeros(1, dtype=torch.int64)
        noise = [philox.normal(seed, first, "feature prior", self.encoder.width) for seed in seeds]
        drawn = self.prior.draw(torch.cat(noise).to(place), caption_vector(captions))
        present = shown.present.to(place)
        if present.any():
            seen = self.encoder.pooled(shown.values.to(place))
            drawn = torch.where(present[:, None], seen, drawn)
        return ConditionValues(drawn, torch.ones_like(present))


def caption_vector(captions: Condition) -> Tensor:
    """(B, P) float32: the caption as one vector; where it has none, the mean of its tokens (B, D)."""
    if captions.pooled.shape[1]:
        return captions.pooled.float()
    mask = captions.mask[..., None]
    return (captions.states.float() * mask).sum(1) / mask.sum(1).clamp(min=1)


def _resized(maps: Tensor, sides: Sequence[int]) -> Tensor:
    """(B, C, h, w) to those sides, in float32."""
    if tuple(maps.shape[2:]) == tuple(sides):
        return maps.float()
    return F.interpolate(maps.float(), tuple(sides), mode="bilinear")
