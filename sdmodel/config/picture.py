"""What can be chosen of pictures as a condition: whose features a denoiser is told of, and how."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval, MinLen

from sdmodel.config.limits import Config, Depth, Mistake, Share, Side

PICTURE = "picture"
"""Name of the condition."""
Source = Literal["", "reference", "noisy", "prior"]
"""Whose features they are."""
Join = Literal["channels", "token", "modulation"]
"""How they reach the network."""
REFERENCE = {"least_area": 0.5, "mirror": True, "colour": 0.1}
PRIOR = {"prior_width": 256, "prior_blocks": 3}
PRESENT = {"dropout": 0.1, "guidance": 1.5}
"""Options of one source or two, and their defaults."""


@dataclass(frozen=True, kw_only=True)
class PictureConfig(Config):
    """Features of a picture as a condition, by the frozen image encoder that `encoder` names."""

    source: Source = ""
    """"reference": of a picture that is shown as a prompt; a training shows the picture itself, varied (Ye et
    al. 2023, arXiv:2308.06721). "noisy": of x_t itself, by an encoder that was taught on noisy pictures.
    "prior": of the picture itself while learning; when drawing they come from a prior that is learned along
    (Li et al. 2023, arXiv:2312.03701), or of a picture that is shown. Empty: pictures are no condition."""
    join: Annotated[tuple[Join, ...], MinLen(1)] = ("token",)
    """How they reach the network, any of: "channels" beside x_t, maps resized to it and projected (Rombach et
    al. 2021, arXiv:2112.10752, section 3.3); "token" behind the caption's; "modulation" of every block, with
    time and caption, which unet2d has no room for."""
    channels: Side = 8
    """Channels beside x_t."""
    tokens: Annotated[int, Interval(ge=1, le=256)] = 4
    """Tokens behind the caption's."""
    dropout: Share = 0.1
    """Share of the rows that are learned without it, for guidance; "noisy" is always there."""
    guidance: Annotated[float, Interval(ge=0, le=100)] = 1.5
    """Guidance scale of a picture that is shown or drawn; 1 is none."""
    least_area: Annotated[float, Interval(gt=0, le=1)] = 0.5
    """Smallest part of a picture that its reference shows, (0, 1]."""
    mirror: bool = True
    """Mirror half of the references; not where left and right matter."""
    colour: Share = 0.1
    """How much brightness, contrast and saturation of a reference change, [0, 1]."""
    prior_width: Side = 256
    """Channels of the prior's blocks."""
    prior_blocks: Depth = 3
    """Blocks of the prior."""

    def conflicts(self) -> Iterator[Mistake]:
        """Options that the source does not read, and ways to join that come twice."""
        unread = {
            **({} if self.source == "reference" else REFERENCE),
            **({} if self.source == "prior" else PRIOR),
            **({} if self.source in ("reference", "prior") else PRESENT),
            **({} if self.source and "token" in self.join else {"tokens": 4}),
            **({} if self.source and "channels" in self.join else {"channels": 8}),
            **({} if self.source else {"join": ("token",)}),
        }
        for name, default in unread.items():
            if getattr(self, name) != default:
                keys = (name, "source", "join") if name in ("tokens", "channels") else (name, "source")
                yield self.mistake("is read by nothing here; leave it out", *keys)
        if len(set(self.join)) < len(self.join):
            yield self.mistake("names a way twice; name each once", "join")
