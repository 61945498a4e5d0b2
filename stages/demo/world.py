"""The demo world: one coloured shape on a pale background, drawn at any size from a few numbers.

What a picture shows is data: tables name every shape, colour, size, position and background. A new colour is
a line of `COLOURS`, a new shape a signed distance in `SHAPES`; captions, oracle and tests read these tables.
"""

import colorsys
import hashlib
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from stages.demo.patterns import BACKGROUNDS
from stages.demo.shapes import SHAPES, Array

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.13, 0.15),
    "orange": (0.97, 0.52, 0.07),
    "yellow": (0.99, 0.84, 0.10),
    "green": (0.13, 0.62, 0.28),
    "blue": (0.13, 0.36, 0.90),
    "purple": (0.50, 0.18, 0.72),
    "pink": (0.96, 0.42, 0.70),
    "black": (0.13, 0.13, 0.16),
}
"""Red, green and blue in [0, 1]."""

SIZES: dict[str, float] = {"small": 0.150, "medium": 0.210, "large": 0.280}
"""Radius as a share of the picture's side."""

POSITIONS: dict[str, tuple[float, float]] = {
    "centre": (0.50, 0.50),
    "top left": (0.31, 0.31),
    "top right": (0.69, 0.31),
    "bottom left": (0.31, 0.69),
    "bottom right": (0.69, 0.69),
}
"""Centre of the shape, x and y as shares of the side from the top left corner."""


@dataclass(frozen=True)
class Attributes:
    """What a picture shows: one name from each table."""

    shape: str
    colour: str
    size: str
    position: str
    background: str


VALUES: dict[str, tuple[str, ...]] = {
    "shape": tuple(SHAPES),
    "colour": tuple(COLOURS),
    "size": tuple(SIZES),
    "position": tuple(POSITIONS),
    "background": tuple(BACKGROUNDS),
}
"""Attribute -> its values, in a fixed order."""

ATTRIBUTES: tuple[str, ...] = tuple(f.name for f in fields(Attributes))
HELD_OUT_SHARE = 0.10


def held_out(attributes: Attributes) -> bool:
    """Whether this combination is kept from training: a tenth of all, by hash, the same on every machine."""
    key = "/".join(asdict(attributes).values())
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[16:20], "big") < HELD_OUT_SHARE * 2**32


@dataclass(frozen=True)
class Scene:
    """A picture to be drawn: its attributes, and what varies continuously between pictures of the same
    attributes."""

    attributes: Attributes
    centre: tuple[float, float]
    """x and y as shares of the side."""
    radius: float
    """As a share of the side."""
    angle: float
    """Clockwise, radians."""
    colour: tuple[float, float, float]
    """Red, green, blue of the shape in [0, 1]."""
    tints: tuple[tuple[float, float, float], tuple[float, float, float]]
    """The background's two colours."""
    phase: tuple[float, float]
    """Shift of the background's pattern, in repeats."""


# How far pictures of the same attributes differ: told apart at 32 pixels, and yet learned by a small model.
POSITION_JITTER = 0.042
RADIUS_JITTER = 0.05
ANGLE_JITTER = 0.10
SHADE_JITTER = 0.08
SHADING = 0.14  # the top of a shape is lighter by this share, the bottom darker


def draw_attributes(seed: int, index: int, unseen: bool | None = False) -> Attributes:
    """Attributes of picture `index`; `unseen` False: training combinations, True: held-out ones, None:
    any."""
    rng = np.random.default_rng([seed, index, 1])
    while True:
        drawn = Attributes(**{name: values[rng.integers(len(values))] for name, values in VALUES.items()})
        if unseen is None or held_out(drawn) == unseen:
            return drawn


def scene(seed: int, index: int, attributes: Attributes | None = None) -> Scene:
    """Scene `index` of the endless row named by `seed`: the same pair gives the same scene everywhere.

    Without `attributes` they are drawn from the combinations that training may see.
    """
    rng = np.random.default_rng([seed, index])
    chosen = attributes or draw_attributes(seed, index)
    x, y = POSITIONS[chosen.position]
    dx, dy = rng.uniform(-POSITION_JITTER, POSITION_JITTER, 2)
    r, g, b = COLOURS[chosen.colour]
    shade = 1 + rng.uniform(-SHADE_JITTER, SHADE_JITTER)
    hue, lightness, saturation = rng.uniform(), rng.uniform(0.85, 0.94), rng.uniform(0.25, 0.85)
    depth, turn = rng.uniform(0.09, 0.14), rng.uniform(-0.15, 0.15)
    if chosen.background == "gradient":
        second = colorsys.hls_to_rgb((hue + turn) % 1, lightness - depth - 0.07, saturation)
    else:
        second = colorsys.hls_to_rgb(hue, lightness - depth, 0.75 * saturation)
    return Scene(
        attributes=chosen,
        centre=(float(x + dx), float(y + dy)),
        radius=float(SIZES[chosen.size] * (1 + rng.uniform(-RADIUS_JITTER, RADIUS_JITTER))),
        angle=float(rng.uniform(-ANGLE_JITTER, ANGLE_JITTER)),
        colour=(
            float(min(r * shade, 1)),
            float(min(g * shade, 1)),
            float(min(b * shade, 1)),
        ),
        tints=(colorsys.hls_to_rgb(hue, lightness, saturation), second),
        phase=(float(rng.uniform()), float(rng.uniform())),
    )


def grid(pixels: int, samples: int) -> tuple[Array, Array]:
    """x of shape (1, P*S) and y of shape (P*S, 1) in [0, 1]: S = `samples` points to a side in each pixel."""
    at = ((np.arange(pixels * samples) + 0.5) / (pixels * samples)).astype(np.float32)
    return at[None, :], at[:, None]


def average(values: Array, samples: int) -> Array:
    """Mean over blocks of `samples` by `samples`: (P*S, Q*S) -> (P, Q)."""
    high, wide = values.shape
    return values.reshape(high // samples, samples, wide // samples, samples).mean((1, 3))


def pattern(background: str, phase: tuple[float, float], pixels: int) -> Array:
    """(P, P) share of the second tint; its flanks are soft, so only small pictures need more samples."""
    samples = 4 if pixels < 64 else 1
    x, y = grid(pixels, samples)
    return average(np.broadcast_to(BACKGROUNDS[background](x, y, phase), (len(y), len(y))), samples)


def coverage(
    shape: str,
    centre: tuple[float, float],
    radius: float,
    angle: float,
    x: Array,
    y: Array,
    step: float,
) -> tuple[Array, Array]:
    """Share of each point's surroundings inside the shape (H, W), and the shape's brightness there (H, 1).

    x is (1, W) and y is (H, 1), shares of the side. `step` is the distance between points, over which the
    outline is softened.
    """
    dx, dy = (x - np.float32(centre[0])) / radius, (y - np.float32(centre[1])) / radius
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    inside = np.clip(
        0.5 - SHAPES[shape](cos * dx + sin * dy, cos * dy - sin * dx) * (radius / step),
        0,
        1,
    )
    return inside, 1 - SHADING * np.clip(dy, -1, 1)


def render(scene: Scene, pixels: int) -> NDArray[np.uint8]:
    """The picture, (P, P, 3) uint8 sRGB, anti-aliased by supersampling; `pixels` is its side, at least 8."""
    if pixels < 8:
        raise ValueError(f"pixels={pixels}: a picture of the demo world has at least 8 pixels to a side")
    first, second = (np.asarray(tint, np.float32) for tint in scene.tints)
    image = first + (second - first) * pattern(scene.attributes.background, scene.phase, pixels)[..., None]
    # Only the pixels that the shape can reach are supersampled with it: 1.25 radii hold every shape.
    lows = [max(0, int((c - 1.25 * scene.radius) * pixels)) for c in scene.centre]
    highs = [min(pixels, int((c + 1.25 * scene.radius) * pixels) + 2) for c in scene.centre]
    samples = 4 if pixels < 64 else 2
    x, y = grid(pixels, samples)
    inside, brightness = coverage(
        scene.attributes.shape,
        scene.centre,
        scene.radius,
        scene.angle,
        x[:, lows[0] * samples : highs[0] * samples],
        y[lows[1] * samples : highs[1] * samples],
        1 / (pixels * samples),
    )
    alpha = average(inside, samples)[..., None]
    paint = average(inside * brightness, samples)[..., None] * np.asarray(scene.colour, np.float32)
    window = image[lows[1] : highs[1], lows[0] : highs[0]]
    window[:] = window * (1 - alpha) + np.minimum(paint, alpha)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
