"""The oracle of the world of two: reads both groups back from pictures of 32 pixels, by synthesis.

Each relation cuts a picture into two halves, and a half is a plain background with one group on it. Every
count and shape, drawn over a grid of places, explains a half by least squares, its colours free, with first-
order changes of place and radius. The relation whose halves are explained best names the scene; what it
leaves unexplained, the residual, says how much of the picture is of this world.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.demo import world
from stages.demo.reading import MIN_CONTRAST, PIXELS, Reading, chunks, residual_limit
from stages.demo.shapes import Array
from stages.demo.two.measures import MEASURES, right
from stages.demo.two.world import (
    ATTRIBUTES,
    COUNTS,
    RADIUS,
    SHADE_JITTER,
    VALUES,
    TwoGroupAttributes,
    centres,
    render,
    scene,
)

_OFFSETS = (
    -0.04,
    -0.02,
    0.0,
    0.02,
    0.04,
)  # the grid of places: wider than the jitter, as samples of models are
_RIDGE = 0.04  # (noise / (jitter within the grid * contrast))^2: how far first-order changes may go


class TwoGroupReading(Reading):
    """What the oracle reads in N pictures of two groups."""

    def attributes(self, index: int) -> TwoGroupAttributes:
        """The labels of picture `index`."""
        return TwoGroupAttributes(**{name: str(values[index]) for name, values in self.labels.items()})

    def matches(self, truth: Sequence[TwoGroupAttributes]) -> dict[str, NDArray[np.bool_]]:
        """Measure, see `MEASURES` -> which of the N pictures are right for what `truth` says."""
        outcomes = [right(self.attributes(index), truth[index]) for index in range(len(truth))]
        return {name: np.array([outcome[name] for outcome in outcomes], np.bool_) for name in MEASURES}


@dataclass(frozen=True)
class _HalfTemplateBank:
    """A template bank, drawn once for a half of P = 512 pixels: S groups, each a basis of 5 vectors."""

    names: list[tuple[str, str]]
    """(count, shape) of each drawn group."""
    basis: Array
    """(S, 5, P): background left free, paint; change with x, y and radius."""
    inverse: Array
    """(S, 5, 5): inverse Gram matrices."""


def _half(pictures: Array, relation: str, place: int) -> Array:
    """(..., 32, 32) -> (..., 512): the left or right half of "left of", the upper or lower one of "above"."""
    middle = PIXELS // 2
    chosen = slice(0, middle) if place == 0 else slice(middle, PIXELS)
    part = pictures[..., chosen] if relation == "left of" else pictures[..., chosen, :]
    return part.reshape(*part.shape[:-2], PIXELS * middle)


def _drawn(shape: str, at: Sequence[tuple[float, float]], radius: float) -> tuple[Array, Array]:
    """Covered share of each pixel and covered share times brightness, (32, 32), of a group."""
    x, y = world.grid(PIXELS, 2)
    covered, paint = np.zeros((PIXELS, PIXELS), np.float32), np.zeros((PIXELS, PIXELS), np.float32)
    for centre in at:
        inside, brightness = world.coverage(shape, centre, radius, 0.0, x, y, 0.5 / PIXELS)
        covered += world.average(inside, 2)
        paint += world.average(inside * brightness, 2)
    return covered, paint


@functools.cache
def _bank(relation: str, place: int) -> _HalfTemplateBank:
    names: list[tuple[str, str]] = []
    bases: list[Array] = []
    for count, shape in itertools.product(VALUES["count"], VALUES["shape"]):
        for shift in itertools.product(_OFFSETS, _OFFSETS):
            at = centres(relation, place, COUNTS[count], shift)
            covered, paint = _drawn(shape, at, RADIUS)
            down, across = np.gradient(covered)
            pixel = 1 / PIXELS / RADIUS  # of the radius
            wider = (_drawn(shape, at, RADIUS * (1 + pixel / 4))[0] - covered) * 4
            names.append((count, shape))
            bases.append(_half(np.stack([1 - covered, paint, across, down, wider]), relation, place))
    basis = np.array(bases, np.float32)
    gram = (basis @ basis.transpose(0, 2, 1)).astype(np.float64) + np.diag([1e-4, 1e-4] + 3 * [_RIDGE])
    return _HalfTemplateBank(names, basis, np.linalg.inv(gram).astype(np.float32))


def _explain(half: Array, bank: _HalfTemplateBank) -> tuple[NDArray[np.intp], Array, Array, Array]:
    """Of halves (N, 3, P): the best drawn group, squared error, its and the background's colour (N, 3)."""
    each = np.arange(len(half))
    flat = bank.basis.reshape(-1, half.shape[-1])  # (S*5, P)
    products = (half @ flat.T).reshape(len(half), 3, *bank.basis.shape[:2])
    products = products.transpose(2, 0, 1, 3)  # (S, N, 3, 5)
    solved = (products.reshape(len(bank.names), -1, 5) @ bank.inverse).reshape(products.shape)
    gain = np.einsum("snck,snck->ns", products, solved)
    best = gain.argmax(1)
    error = np.square(half).sum((1, 2)) - gain[each, best]
    coefficients = solved[best, each]  # (N, 3, 5)
    return best, np.maximum(error, 1e-6), coefficients[:, :, 1], coefficients[:, :, 0]


def _colours(seen: Array) -> list[str]:
    """The world's colour nearest to each of (N, 3) colours, whatever its shade."""
    known = np.array([world.COLOURS[name] for name in VALUES["colour"]], np.float32)  # (C, 3)
    shade = np.clip((seen @ known.T) / (known**2).sum(1), 1 - SHADE_JITTER, 1 + SHADE_JITTER)
    nearest = np.linalg.norm(seen[:, None] - shade[..., None] * known, axis=-1).argmin(1)
    return [VALUES["colour"][index] for index in nearest]


def _measure(images: NDArray[np.uint8]) -> tuple[list[TwoGroupAttributes], Array, Array]:
    """What is shown, the residuals and the contrasts (N,) of (N, 32, 32, 3)."""
    shown: list[TwoGroupAttributes] = []
    residuals, contrasts = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    for chunk in chunks(images):
        part = chunk.transpose(0, 3, 1, 2) / np.float32(255)  # (N, 3, 32, 32)
        errors: list[Array] = []
        contrast: list[Array] = []
        candidates: list[list[TwoGroupAttributes]] = []
        for relation in VALUES["relation"]:
            halves = [_explain(_half(part, relation, place), _bank(relation, place)) for place in (0, 1)]
            errors.append(halves[0][1] + halves[1][1])
            gaps = [np.sqrt(np.square(seen - behind).mean(1)) for _, _, seen, behind in halves]
            contrast.append(np.minimum(*gaps))
            candidates.append(_named(relation, halves))
        chosen, each = np.argmin(errors, axis=0), np.arange(len(part))
        shown += [candidates[relation][index] for index, relation in enumerate(chosen)]
        residuals.append(np.sqrt(np.array(errors)[chosen, each] / part[0].size))
        contrasts.append(np.array(contrast)[chosen, each])
    return shown, np.concatenate(residuals), np.concatenate(contrasts)


def _named(
    relation: str, halves: list[tuple[NDArray[np.intp], Array, Array, Array]]
) -> list[TwoGroupAttributes]:
    groups: list[list[tuple[str, str, str]]] = []
    for place, (best, _, seen, _) in enumerate(halves):
        names = [_bank(relation, place).names[index] for index in best]
        groups.append(
            [(count, colour, shape) for (count, shape), colour in zip(names, _colours(seen), strict=True)]
        )
    return [TwoGroupAttributes(relation, *first, *second) for first, second in zip(*groups, strict=True)]


@functools.cache
def clean_limit() -> float:
    """The 99th percentile of the residuals of 300 renders under noise: what still looks like this world."""
    renders = [render(scene(20_260_000, index), PIXELS) for index in range(300)]
    return residual_limit(renders, lambda images: _measure(images)[1])


def read_attributes(images: NDArray[np.uint8]) -> TwoGroupReading:
    """Reads images (N, 32, 32, 3) uint8: the attributes, and whether the picture is of this world at all."""
    shown, residual, contrast = _measure(images)
    labels = {
        name: np.array([getattr(attributes, name) for attributes in shown], np.str_) for name in ATTRIBUTES
    }
    clean = (residual <= clean_limit()) & (contrast >= MIN_CONTRAST)
    return TwoGroupReading(labels=labels, residual=residual, contrast=contrast, clean=clean)
