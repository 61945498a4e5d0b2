"""The shapes of the demo world, as signed distances to their outlines."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
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
    # Five points by folding the plane (after I. Quilez, "2D distance functions"); inner radius 0.45 of outer.
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
"""Signed distance to the outline, negative inside, in units of the shape's radius; x to the right, y down.

Every shape, turned by a scene's angle, stays within 1.25 radii of its centre (0, 0) along x and y."""
