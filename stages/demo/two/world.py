"""The world of two: groups of one or two equal shapes, side by side or one above the other, at any size.

The one-object world asks whether a model knows words; this one asks whether it knows who does what: "one red
circle shape left of two blue ring shapes" and "two red ring shapes left of one blue circle shape" are the
same words. Everything else is kept small, so that a UNet of a million parameters learns it within some ten
thousand pictures of 32 pixels: a plain pale background, one size of shape, no turning, hardly any jitter, six
colours that lie far apart, the four shapes that differ most at five pixels of radius, one or two shapes to a
group (three would have to be smaller). Shapes are what small models learn last, so there are no look-alikes
such as star and cross. The two groups never share a shape or a colour: else some exchanges of words would
change nothing. Measured: told the attributes themselves, a UNet of 0.8 million parameters draws 90 % of the
held-out scenes right after 12,000 pictures and all of them after 18,000, so what is missing is the text's.

"Right of" and "below" are ways to say things, not ways that things are: a scene's first group is the left or
the upper one, so that equal pictures have equal attributes.
"""

import colorsys
import hashlib
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from stages.demo import world

COUNTS: dict[str, int] = {"one": 1, "two": 2}
"""Shapes in a group."""

VALUES: dict[str, tuple[str, ...]] = {
    "relation": ("left of", "above"),
    "count": tuple(COUNTS),
    "colour": ("red", "yellow", "green", "blue", "pink", "black"),
    "shape": ("circle", "ring", "cross", "triangle"),
}
"""What may differ between pictures -> its values, in a fixed order. Colours and shapes are the one-object
world's."""


@dataclass(frozen=True)
class TwoGroupAttributes:
    """What a picture shows: the first group stands left of or above the second."""

    relation: str
    first_count: str
    first_colour: str
    first_shape: str
    second_count: str
    second_colour: str
    second_shape: str


ATTRIBUTES: tuple[str, ...] = tuple(f.name for f in fields(TwoGroupAttributes))
HELD_OUT_SHARE = 0.10


def is_scene(attributes: TwoGroupAttributes) -> bool:
    """Whether every value is known, and the groups differ in shape and in colour."""
    known = all(value in VALUES[name.split("_")[-1]] for name, value in asdict(attributes).items())
    return (
        known
        and attributes.first_shape != attributes.second_shape
        and attributes.first_colour != attributes.second_colour
    )


def words_of(attributes: TwoGroupAttributes) -> tuple[str, ...]:
    """What every exchange of words between the groups leaves as it is: (axis, counts, colours, shapes)."""
    groups = ((f"first_{name}", f"second_{name}") for name in ("count", "colour", "shape"))
    pairs = ("+".join(sorted(getattr(attributes, name) for name in pair)) for pair in groups)
    return (attributes.relation, *pairs)


def held_out(attributes: TwoGroupAttributes) -> bool:
    """Whether this combination is kept from training: a tenth of all, by hash, the same on every machine.

    A combination is held out together with all exchanges of its words: that one of them was seen in training
    tells nothing about another, and a reader of bags of words does equally well on both sides.
    """
    key = "/".join(words_of(attributes))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[16:20], "big") < HELD_OUT_SHARE * 2**32


@dataclass(frozen=True)
class Group:
    """Equal shapes that stand in a row along the line that parts the two groups."""

    shape: str
    colour: tuple[float, float, float]
    """Red, green, blue in [0, 1]."""
    centres: tuple[tuple[float, float], ...]
    """x and y as shares of the side, one for each shape."""
    radius: float
    """As a share of the side."""


@dataclass(frozen=True)
class TwoGroupScene:
    """A picture to be drawn: its attributes, and what varies continuously between pictures of the same
    attributes."""

    attributes: TwoGroupAttributes
    groups: tuple[Group, Group]
    tint: tuple[float, float, float]
    """The background's colour."""


RADIUS = 0.16
SPREAD = 0.23  # of two shapes' centres from the middle of their half
PLACE_JITTER = 0.02
RADIUS_JITTER = 0.04
SHADE_JITTER = 0.05
LEAST_SIDE = 16


def centres(relation: str, place: int, count: int, shift: tuple[float, float]) -> list[tuple[float, float]]:
    """Where the shapes of group `place` (0: first, 1: second) stand, x and y as shares of the side."""
    across = 0.25 + 0.5 * place
    along = [0.5] if count == 1 else [0.5 - SPREAD, 0.5 + SPREAD]
    assert count <= 2, "a row of three needs smaller shapes"
    at = [(across, a) if relation == "left of" else (a, across) for a in along]
    return [(x + shift[0], y + shift[1]) for x, y in at]


def draw_attributes(seed: int, index: int, unseen: bool | None = False) -> TwoGroupAttributes:
    """Attributes of picture `index`; `unseen` False: training combinations, True: held-out ones, None:
    any."""
    rng = np.random.default_rng([seed, index, 21])
    while True:
        values = {name: VALUES[name.split("_")[-1]] for name in ATTRIBUTES}
        drawn = TwoGroupAttributes(**{name: some[rng.integers(len(some))] for name, some in values.items()})
        if is_scene(drawn) and (unseen is None or held_out(drawn) == unseen):
            return drawn


def scene(seed: int, index: int, attributes: TwoGroupAttributes | None = None) -> TwoGroupScene:
    """Scene `index` of the endless row named by `seed`: the same pair gives the same scene everywhere.

    Without `attributes` they are drawn from the combinations that training may see. ValueError for attributes
    that are no scene of this world.
    """
    rng = np.random.default_rng([seed, index, 22])
    chosen = attributes or draw_attributes(seed, index)
    if not is_scene(chosen):
        raise ValueError(
            f"{chosen}: groups of the world of two differ in shape and colour, with values of {VALUES}"
        )
    hue, lightness, saturation = rng.uniform(), rng.uniform(0.91, 0.95), rng.uniform(0.1, 0.5)
    return TwoGroupScene(
        attributes=chosen,
        groups=(_group(chosen, 0, rng), _group(chosen, 1, rng)),
        tint=colorsys.hls_to_rgb(hue, lightness, saturation),
    )


def _group(attributes: TwoGroupAttributes, place: int, rng: np.random.Generator) -> Group:
    name = ("first", "second")[place]
    count, colour, shape = (getattr(attributes, f"{name}_{what}") for what in ("count", "colour", "shape"))
    dx, dy = rng.uniform(-PLACE_JITTER, PLACE_JITTER, 2)
    shade = 1 + rng.uniform(-SHADE_JITTER, SHADE_JITTER)
    red, green, blue = (float(min(part * shade, 1)) for part in world.COLOURS[colour])
    return Group(
        shape=shape,
        colour=(red, green, blue),
        centres=tuple(centres(attributes.relation, place, COUNTS[count], (float(dx), float(dy)))),
        radius=float(RADIUS * (1 + rng.uniform(-RADIUS_JITTER, RADIUS_JITTER))),
    )


def render(scene: TwoGroupScene, pixels: int) -> NDArray[np.uint8]:
    """The picture, (P, P, 3) uint8 sRGB, anti-aliased by supersampling; `pixels` is its side, at least 16."""
    if pixels < LEAST_SIDE:
        raise ValueError(
            f"pixels={pixels}: a picture of the world of two has at least {LEAST_SIDE} to a side"
        )
    samples = 4 if pixels < 64 else 2
    x, y = world.grid(pixels, samples)
    image = np.tile(np.asarray(scene.tint, np.float32), (pixels, pixels, 1))
    for group in scene.groups:
        for centre in group.centres:
            # Only the pixels that the shape can reach are drawn: 1.25 radii hold every shape.
            low = [int((at - 1.25 * group.radius) * pixels) for at in centre]
            high = [int((at + 1.25 * group.radius) * pixels) + 2 for at in centre]
            inside, brightness = world.coverage(
                group.shape,
                centre,
                group.radius,
                0.0,
                x[:, low[0] * samples : high[0] * samples],
                y[low[1] * samples : high[1] * samples],
                1 / (pixels * samples),
            )
            alpha = world.average(inside, samples)[..., None]
            colour = np.asarray(group.colour, np.float32)
            paint = world.average(inside * brightness, samples)[..., None] * colour
            part = image[low[1] : high[1], low[0] : high[0]]
            part[:] = part * (1 - alpha) + np.minimum(paint, alpha)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
