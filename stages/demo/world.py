"""The demo world: one coloured shape on a pale background, drawn at any size from a few numbers.

What a picture shows is data: the tables below name every shape, colour, size, position and background. A new colour is a new
line of `COLOURS`; a new shape is a signed distance function in `SHAPES`. Captions, oracle and tests read the same tables.
"""

import colorsys
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Distance = Callable[[Array, Array], Array]


def _circle(x: Array, y: Array) -> Array:
    return np.hypot(x, y) - 0.95


def _box(x: Array, y: Array, width: float, height: float, rounding: float) -> Array:
    qx, qy = np.abs(x) - (width - rounding), np.abs(y) - (height - rounding)
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
    return outside + np.minimum(np.maximum(qx, qy), 0) - rounding


def _triangle(x: Array, y: Array) -> Array:
    # Equilateral, apex up: three half-planes.
    y = y - 0.29
    return np.maximum(np.float32(np.sqrt(0.75)) * np.abs(x) - 0.5 * y, y) - 0.63


def _star(x: Array, y: Array) -> Array:
    # Five points by folding the plane (after I. Quilez, "2D distance functions"), inner radius 0.45 of the outer.
    radius, inner = 1.12, 0.45
    c1, s1 = np.float32(np.cos(np.pi / 5)), np.float32(np.sin(np.pi / 5))
    x, y = np.abs(x), -(y - 0.06)
    t = np.maximum(c1 * x - s1 * y, 0)
    x, y = x - 2 * t * c1, y + 2 * t * s1
    t = np.maximum(-c1 * x - s1 * y, 0)
    x, y = x + 2 * t * c1, y + 2 * t * s1
    x, y = np.abs(x), y - radius
    bx, by = inner * s1, inner * c1 - 1
    h = np.clip((x * bx + y * by) / (bx * bx + by * by), 0, radius)
    return np.hypot(x - bx * h, y - by * h) * np.sign(y * bx - x * by)


def _cross(x: Array, y: Array) -> Array:
    return np.minimum(_box(x, y, 1.0, 0.30, 0.08), _box(x, y, 0.30, 1.0, 0.08))


def _ring(x: Array, y: Array) -> Array:
    return np.abs(np.hypot(x, y) - 0.76) - 0.25


def _crescent(x: Array, y: Array) -> Array:
    x = x - 0.12
    return np.maximum(np.hypot(x, y) - 1.0, 0.72 - np.hypot(x - 0.55, y))


SHAPES: dict[str, Distance] = {
    "circle": _circle,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "crescent": _crescent,
}
"""Signed distance to the outline, negative inside, in units of the shape's radius; x to the right, y down, (0, 0) the centre."""

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

Pattern = Callable[[Array, Array, tuple[float, float]], Array]
_REPEAT = (
    0.25  # side of a pattern's repeat: 8 pixels of 32, so that patterns survive at 32
)


def _bands(x: Array, phase: float) -> Array:
    """0 and 1 in turn, half a repeat each, with flanks as wide as a pixel of 32."""
    return np.clip(0.5 + 2.5 * np.sin(2 * np.pi * (x / _REPEAT + phase)), 0, 1).astype(
        np.float32
    )


def _gradient(x: Array, y: Array, phase: tuple[float, float]) -> Array:
    return y


def _striped(x: Array, y: Array, phase: tuple[float, float]) -> Array:
    return _bands((x + y) / 1.5, phase[0])


def _checkered(x: Array, y: Array, phase: tuple[float, float]) -> Array:
    across, down = _bands(x / 1.5, phase[0]), _bands(y / 1.5, phase[1])
    return across + down - 2 * across * down


def _dotted(x: Array, y: Array, phase: tuple[float, float]) -> Array:
    across, down = (
        (x / _REPEAT + phase[0]) % 1 - 0.5,
        (y / _REPEAT + phase[1]) % 1 - 0.5,
    )
    return np.clip(0.5 + 8 * (0.3 - np.hypot(across, down)), 0, 1).astype(np.float32)


BACKGROUNDS: dict[str, Pattern] = {
    "plain": lambda x, y, phase: np.zeros_like(x),
    "gradient": _gradient,
    "striped": _striped,
    "checkered": _checkered,
    "dotted": _dotted,
}
"""Share of the second tint, [0, 1], at points x, y in [0, 1] of the picture; phase shifts the pattern, in repeats."""


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
    return (
        int.from_bytes(hashlib.sha256(key.encode()).digest()[16:20], "big")
        < HELD_OUT_SHARE * 2**32
    )


@dataclass(frozen=True)
class Scene:
    """One picture: its attributes, and what varies continuously between pictures of the same attributes."""

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


# How far pictures of the same attributes differ. Wide enough to tell them apart as 32 pixels, narrow enough to learn.
POSITION_JITTER = 0.035
RADIUS_JITTER = 0.05
ANGLE_JITTER = 0.14
SHADE_JITTER = 0.08
SHADING = 0.14  # the top of a shape is lighter by this share, the bottom darker


def draw_attributes(seed: int, index: int, held: bool | None = False) -> Attributes:
    """Attributes of picture `index`; `held` False: training combinations, True: held-out ones, None: any."""
    rng = np.random.default_rng([seed, index, 1])
    while True:
        drawn = Attributes(
            **{
                name: values[rng.integers(len(values))]
                for name, values in VALUES.items()
            }
        )
        if held is None or held_out(drawn) == held:
            return drawn


def scene(seed: int, index: int, attributes: Attributes | None = None) -> Scene:
    """Scene `index` of the endless row of scenes named by `seed`: the same pair gives the same scene everywhere.

    Without `attributes` they are drawn from the combinations that training may see.
    """
    rng = np.random.default_rng([seed, index])
    chosen = attributes or draw_attributes(seed, index)
    x, y = POSITIONS[chosen.position]
    dx, dy = rng.uniform(-POSITION_JITTER, POSITION_JITTER, 2)
    r, g, b = COLOURS[chosen.colour]
    shade = 1 + rng.uniform(-SHADE_JITTER, SHADE_JITTER)
    hue, lightness, saturation = (
        rng.uniform(),
        rng.uniform(0.88, 0.94),
        rng.uniform(0.30, 0.80),
    )
    depth, turn = rng.uniform(0.09, 0.14), rng.uniform(-0.15, 0.15)
    if chosen.background == "gradient":
        second = colorsys.hls_to_rgb(
            (hue + turn) % 1, lightness - depth - 0.07, saturation
        )
    else:
        second = colorsys.hls_to_rgb(hue, lightness - depth, 0.75 * saturation)
    return Scene(
        attributes=chosen,
        centre=(float(x + dx), float(y + dy)),
        radius=float(
            SIZES[chosen.size] * (1 + rng.uniform(-RADIUS_JITTER, RADIUS_JITTER))
        ),
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
    """x and y in [0, 1] of `samples` by `samples` points in each of `pixels` by `pixels` pixels, (P*S, P*S) each."""
    at = ((np.arange(pixels * samples) + 0.5) / (pixels * samples)).astype(np.float32)
    y, x = np.meshgrid(at, at, indexing="ij")
    return x, y


def average(values: Array, samples: int) -> Array:
    """Mean over blocks of `samples` by `samples`: (P*S, Q*S) -> (P, Q)."""
    high, wide = values.shape
    return values.reshape(high // samples, samples, wide // samples, samples).mean(
        (1, 3)
    )


def coverage(
    shape: str,
    centre: tuple[float, float],
    radius: float,
    angle: float,
    x: Array,
    y: Array,
    step: float,
) -> tuple[Array, Array]:
    """(share of each point's surroundings inside the shape, brightness of the shape there), both like x.

    `step` is the distance between points; the outline is softened over one step.
    """
    dx, dy = (x - np.float32(centre[0])) / radius, (y - np.float32(centre[1])) / radius
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    inside = np.clip(
        0.5 - SHAPES[shape](cos * dx + sin * dy, cos * dy - sin * dx) * (radius / step),
        0,
        1,
    )
    return inside.astype(np.float32), 1 - SHADING * np.clip(dy, -1, 1)


def render(scene: Scene, pixels: int) -> NDArray[np.uint8]:
    """The picture, (P, P, 3) uint8 sRGB, anti-aliased by supersampling; `pixels` is its side, at least 8."""
    if pixels < 8:
        raise ValueError(
            f"pixels={pixels}: a picture of the demo world has at least 8 pixels to a side"
        )
    samples = 4 if pixels < 64 else 2
    x, y = grid(pixels, samples)
    pattern = average(
        BACKGROUNDS[scene.attributes.background](x, y, scene.phase), samples
    )[..., None]
    first, second = (np.asarray(tint, np.float32) for tint in scene.tints)
    image = first + (second - first) * pattern
    # Only the pixels that the shape can reach are supersampled with it: 1.25 radii hold every shape.
    lows = [max(0, int((c - 1.25 * scene.radius) * pixels)) for c in scene.centre]
    highs = [
        min(pixels, int((c + 1.25 * scene.radius) * pixels) + 2) for c in scene.centre
    ]
    part = np.s_[
        lows[1] * samples : highs[1] * samples, lows[0] * samples : highs[0] * samples
    ]
    inside, brightness = coverage(
        scene.attributes.shape,
        scene.centre,
        scene.radius,
        scene.angle,
        x[part],
        y[part],
        1 / (pixels * samples),
    )
    alpha = average(inside, samples)[..., None]
    paint = average(inside * brightness, samples)[..., None] * np.asarray(
        scene.colour, np.float32
    )
    window = image[lows[1] : highs[1], lows[0] : highs[0]]
    window[:] = window * (1 - alpha) + np.minimum(paint, alpha)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
