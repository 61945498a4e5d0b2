"""The backgrounds of the demo world, as patterns of two tints."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Pattern = Callable[[Array, Array, tuple[float, float]], Array]
_REPEAT = 0.25  # side of a pattern's repeat: 8 pixels of 32, so that patterns survive at 32


def _bands(x: Array, phase: float) -> Array:
    """0 and 1 in turn, half a repeat each, with flanks as wide as a pixel of 32."""
    return np.clip(0.5 + 2.5 * np.sin(2 * np.pi * (x / _REPEAT + phase)), 0, 1).astype(np.float32)


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
"""Share of the second tint, [0, 1], at points x, y in [0, 1]; `phase` shifts the pattern, in repeats.

x may be a row and y a column: what comes then broadcasts to their grid."""
