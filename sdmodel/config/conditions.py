"""What can be chosen of the conditions beside the caption, each with presence: a picture that lacks one is
learned without it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Interval

from sdmodel.config.limits import NEUTRAL, Config, Mistake, Share, Side, Word
from sdmodel.config.picture import PICTURE, PictureConfig

if TYPE_CHECKING:
    from sdmodel.config.train import TrainConfig

Guidance = Annotated[float, Interval(ge=0, le=100)]
"""A guidance scale; 1 is none."""
CAPTION, SIZE = "caption", "size"
"""Names that no column's condition may have, since they name the caption and the picture's size."""


@dataclass(frozen=True, kw_only=True)
class PseudoLabelsConfig(Config):
    """Classes that a model told of pictures without one (Lee 2013, pseudo-labels)."""

    labels: str = field(default="", metadata=NEUTRAL)  # their digest is an input of the stage
    """A table that `sdflow label` made of this dataset and column, "labels/NAME@latest". Empty: none are
    taken."""
    confidence: Share = 0.9
    """Least confidence of those that are taken, [0, 1]."""

    def conflicts(self) -> Iterator[Mistake]:
        """A confidence of no labels."""
        if self.confidence != 0.9 and not self.labels:
            yield self.mistake("no labels are taken; name a table, or leave it out", "confidence", "labels")


@dataclass(frozen=True, kw_only=True)
class ClassColumnConfig(Config):
    """A class, or any number of tags, of each picture."""

    column: Word
    """Of the index, of strings (a class) or of lists of strings (tags); shard.columns brings columns of the
    sources. A row without a value is learned without it."""
    dropout: Share = 0.1
    """Share of the rows that have a value and are learned without it, for guidance."""
    guidance: Guidance = 2.0
    """Guidance scale when drawing; 1 is none."""
    pseudo: PseudoLabelsConfig = field(default_factory=PseudoLabelsConfig)
    """Labels of rows that have none, never in the place of one."""


@dataclass(frozen=True, kw_only=True)
class NumberColumnConfig(Config):
    """A number of each picture, such as a quality score."""

    column: Word
    """Of the index, of numbers, or of texts that are numbers: "similarity", or one that shard.columns brings.
    A row without a number is learned without it."""
    dropout: Share = 0.1
    """Share of the rows that have a number and are learned without it."""
    guidance: Guidance = 1.0
    """Guidance scale when drawing; 1 is none."""


@dataclass(frozen=True, kw_only=True)
class PictureSizeConfig(Config):
    """The size that a picture came in and how it was cropped (Podell et al. 2023, arXiv:2307.01952, section
    2.2), so that small pictures can be learned from and large ones drawn."""

    on: bool = False
    """Whether it is a condition."""
    dropout: Share = 0.1
    """Share of the rows that are learned without it."""
    guidance: Guidance = 1.0
    """Guidance scale when drawing; 1 is none."""
    drawn: Annotated[int, Interval(ge=0, le=65_536)] = 0
    """Pixels to a side that pictures are drawn as if they came in, uncropped, unless told otherwise. 0: the
    90th percentile of the shorter sides learned from."""

    def conflicts(self) -> Iterator[Mistake]:
        """Choices of a condition that is off."""
        for name, default in {"dropout": 0.1, "guidance": 1.0, "drawn": 0}.items():
            if getattr(self, name) != default and not self.on:
                yield self.mistake(
                    "the picture's size is no condition; set on, or leave this out", name, "on"
                )


@dataclass(frozen=True, kw_only=True)
class ConditionsConfig(Config):
    """Conditions beside the caption. A row's are embedded and reach the network with the caption, each as a
    learned null where the row lacks it, or where it is dropped."""

    columns: tuple[ClassColumnConfig, ...] = ()
    """Classes and tags."""
    numbers: tuple[NumberColumnConfig, ...] = ()
    """Numbers."""
    size: PictureSizeConfig = field(default_factory=PictureSizeConfig)
    """The picture's own size and crop."""
    picture: PictureConfig = field(default_factory=PictureConfig)
    """Features of a picture, by the image encoder that train.encoder names."""
    width: Side = 64
    """Channels of each condition where the network is told of the whole caption (unet, dit); unet2d attends
    to it as to a token, of the caption's width."""
    dropout: Share = 0.05
    """Share of the rows that lose the caption and all conditions at once, which guidance by several of them
    begins with; besides the dropout of each."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all conditions, in the order in which guidance adds them: the size, numbers, classes, the
        picture."""
        size = (SIZE,) if self.size.on else ()
        numbers, columns = (each.column for each in self.numbers), (each.column for each in self.columns)
        return (*size, *numbers, *columns, *((PICTURE,) if self.picture.source else ()))

    @property
    def rates(self) -> dict[str, float]:
        """Dropout of each condition, by name."""
        size = {SIZE: self.size.dropout} if self.size.on else {}
        picture = {PICTURE: self.picture.dropout} if self.picture.source else {}
        return size | {each.column: each.dropout for each in (*self.numbers, *self.columns)} | picture

    def conflicts(self) -> Iterator[Mistake]:
        """Two conditions of one name, and choices of conditions where there are none."""
        twice = sorted(name for name, count in Counter(self.names).items() if count > 1)
        if twice or CAPTION in self.names:
            name = twice[0] if twice else CAPTION
            yield self.mistake(
                f"{name!r} names two conditions; each is named by its column, and {CAPTION}, {SIZE} and "
                f"{PICTURE} are taken by the caption, the picture's size and pictures: rename the column, or "
                "leave one out",
                *("columns", "numbers", "size.on"),
            )
        for name, default in {"width": 64, "dropout": 0.05}.items():
            if getattr(self, name) != default and not self.names:
                yield self.mistake("there are no conditions; name some, or leave this out", name, "columns")


def condition_conflicts(config: "TrainConfig") -> Iterator[Mistake]:
    """Why a training cannot have the conditions that it asks for."""
    if config.conditions.names and config.objective != "diffusion":
        yield config.mistake("this objective has no conditions; leave them out", "conditions", "objective")
    if unknown := sorted(set(config.sampling.conditions or ()) - set(config.conditions.names)):
        yield config.mistake(
            f"{unknown} are no conditions of this model; name those of conditions",
            *("sampling.conditions", "conditions"),
        )
    yield from _of_picture(config)


def _of_picture(config: "TrainConfig") -> Iterator[Mistake]:
    picture = config.conditions.picture
    if picture.source and not config.encoder:
        yield config.mistake(
            "pictures are seen by a frozen image encoder; name one in encoder, which a training with "
            "objective selfsupervised makes",
            *("conditions.picture.source", "encoder"),
        )
    if picture.source and config.network == "unet2d" and "modulation" in picture.join:
        yield config.mistake(
            "diffusers' UNet is modulated by time alone; join a picture as token or channels, or take unet "
            "or dit",
            *("conditions.picture.join", "network"),
        )
