"""The oracle of the demo world: reads every attribute back from pictures of 32 pixels, by synthesis.

A picture is a background and a shape. Backgrounds of one kind span a small linear space, the principal
components of its patterns; shapes are drawn over a grid of sizes and places. Each kind and shape explains
the picture by least squares, with first-order changes of place, radius and angle. The best explanation names
the attributes, and its error, the residual, says how much of the picture is of this world.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.demo import world
from stages.demo.reading import MIN_CONTRAST, PIXELS, Reading, chunks, residual_limit
from stages.demo.shapes import Array
from stages.demo.world import Attributes

MIN_PATTERN = 0.015
"""Least root mean square of a background's pattern; weaker ones are plain."""

_OFFSETS = (-0.032, -0.016, 0.0, 0.016, 0.032)  # half pixels: the grid of places around each position
_RIDGE = 0.04  # (noise / (jitter within the grid * contrast))^2: how far first-order changes may go
_SPAN = 0.98  # share of the patterns' energy that a kind's components keep
_CANDIDATES = 4  # explanations of each kind that are looked at exactly


class OracleReading(Reading):
    """What the oracle reads in N pictures of one object."""

    def attributes(self, index: int) -> Attributes:
        """The labels of picture `index`."""
        return Attributes(**{name: str(values[index]) for name, values in self.labels.items()})

    def matches(self, truth: list[Attributes]) -> dict[str, NDArray[np.bool_]]:
        """Attribute -> which pictures show what `truth` says; "all": every attribute at once."""
        right = {n: self.labels[n] == np.array([getattr(t, n) for t in truth]) for n in world.ATTRIBUTES}
        return {**right, "all": np.logical_and.reduce(list(right.values()))}


@dataclass(frozen=True)
class _TemplateBank:
    """A template bank, drawn once: S shapes over P = 32 * 32 pixels, K components of each kind of
    background."""

    names: list[tuple[str, str, str]]  # (shape, size, position) of each drawn shape
    alpha: Array  # (S, P) share of the pixel that is covered
    shown: Array  # (S, 5, P) covered share times brightness; change of alpha with x, y, radius and angle
    kinds: list["_BackgroundKind"]


@dataclass(frozen=True)
class _BackgroundKind:
    name: str
    basis: Array  # (P, K) orthonormal; a kind's backgrounds are its span
    templates: Array  # (P, S) paint without its part in the span, unit length
    inverse: Array  # (S, K+5, K+5) inverse Gram matrix of [(1 - alpha) * basis, shown]


def _components(kind: str) -> Array:
    """(P, K) orthonormal: the constant and the principal components of the kind's patterns."""
    rng = np.random.default_rng(0)
    drawn = [world.pattern(kind, (rng.uniform(), rng.uniform()), PIXELS).ravel() for _ in range(96)]
    patterns = np.array(drawn) - np.mean(drawn, axis=1, keepdims=True)
    strength, sides = np.linalg.eigh(patterns @ patterns.T)  # far smaller than the patterns' own SVD
    strength, rows = strength[::-1], sides.T[::-1] @ patterns
    energy = np.cumsum(strength)
    keep = int(np.searchsorted(energy, _SPAN * energy[-1])) + 1 if energy[-1] > 1e-6 else 0
    constant = np.full((1, PIXELS**2), 1 / PIXELS)
    components = rows[:keep] / np.linalg.norm(rows[:keep], axis=1, keepdims=True)
    return np.concatenate([constant, components]).T.astype(np.float32)


def _changes(alpha: Array, centre: tuple[float, float], radius: float) -> Array:
    """(4, 32, 32): change of a drawn shape with x and y, and with radius and angle as pixels at the rim."""
    down, across = np.gradient(alpha)
    at = (np.arange(PIXELS) + 0.5) / PIXELS
    x, y = (at[None, :] - centre[0]) / radius, (at[:, None] - centre[1]) / radius
    return np.stack([across, down, x * across + y * down, x * down - y * across])


@functools.cache
def _bank() -> _TemplateBank:
    x, y = world.grid(PIXELS, 2)
    names: list[tuple[str, str, str]] = []
    alphas: list[Array] = []
    showns: list[Array] = []
    for shape, size, position in itertools.product(world.SHAPES, world.SIZES, world.POSITIONS):
        cx, cy = world.POSITIONS[position]
        for dx, dy in itertools.product(_OFFSETS, _OFFSETS):
            centre = (cx + dx, cy + dy)
            inside, brightness = world.coverage(shape, centre, world.SIZES[size], 0.0, x, y, 0.5 / PIXELS)
            names.append((shape, size, position))
            covered, paint = world.average(inside, 2), world.average(inside * brightness, 2)
            alphas.append(covered.ravel())
            changes = _changes(covered, centre, world.SIZES[size])
            showns.append(np.concatenate([paint[None], changes]).reshape(5, -1))
    alpha, shown = np.array(alphas, np.float32), np.array(showns, np.float32)
    paint, clear = shown[:, 0], 1 - alpha
    ridge = np.diag([1e-4] + 4 * [_RIDGE])
    kinds: list[_BackgroundKind] = []
    for kind in world.BACKGROUNDS:
        basis = _components(kind)
        k = basis.shape[1]
        templates = paint - (paint @ basis) @ basis.T
        templates /= np.linalg.norm(templates, axis=1, keepdims=True)
        products = (basis[:, :, None] * basis[:, None, :]).reshape(-1, k * k)
        gram = np.empty((len(names), k + 5, k + 5), np.float64)
        # What the shape hides of the background cannot be known; the small diagonal keeps the inverse finite.
        gram[:, :k, :k] = (clear**2 @ products).reshape(-1, k, k) + 1e-4 * np.eye(k)
        gram[:, k:, :k] = (clear[:, None] * shown) @ basis
        gram[:, :k, k:] = gram[:, k:, :k].transpose(0, 2, 1)
        gram[:, k:, k:] = shown @ shown.transpose(0, 2, 1) + ridge
        kinds.append(
            _BackgroundKind(
                kind, basis, np.ascontiguousarray(templates.T), np.linalg.inv(gram).astype(np.float32)
            )
        )
    return _TemplateBank(names, alpha, shown, kinds)


def _explain(
    images: Array, bank: _TemplateBank
) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, Array, Array]:
    """Kind, drawn shape, residual, shape's and background's colour (N, 3) of images (N, 3, P) in [0, 1]."""
    n = len(images)
    each = np.arange(n)
    total = np.einsum("ncp,ncp->n", images, images)
    scores: list[Array] = []
    explanations: list[tuple[NDArray[np.intp], Array, Array, Array]] = []
    for kind in bank.kinds:
        flat = images.reshape(n * 3, -1)
        rest = flat - (flat @ kind.basis) @ kind.basis.T
        gain = np.square(rest @ kind.templates).reshape(n, 3, -1).sum(1)  # (N, S)
        tops = np.argpartition(gain, -_CANDIDATES, axis=1)[:, -_CANDIDATES:]  # (N, C)
        clear = 1 - bank.alpha[tops]  # (N, C, P)
        behind = (clear[:, :, None] * images[:, None]) @ kind.basis  # (N, C, 3, K)
        front = images[:, None] @ bank.shown[tops].swapaxes(2, 3)  # (N, C, 3, 5)
        right = np.concatenate([behind, front], axis=-1)  # (N, C, 3, K+5)
        solved = right @ kind.inverse[tops]
        error = np.maximum(total[:, None] - (right * solved).sum((2, 3)), 1e-6)  # (N, C)
        best = error.argmin(1)
        k, values = kind.basis.shape[1], images.shape[1] * images.shape[2]
        coefficients = solved[each, best]  # (N, 3, K+5)
        mean = (coefficients[:, :, :k] @ kind.basis.T).mean(-1)
        # Schwarz's criterion: a pattern of more components must explain more than chance lets it. A pattern's
        # parameters are its components and one more colour.
        parameters = 0 if k == 1 else k + 2
        strength = np.sqrt(np.square(coefficients[:, :, 1:k]).sum((1, 2)) / values)
        score = values * np.log(error[each, best]) + parameters * np.log(values)
        scores.append(np.where((k > 1) & (strength < MIN_PATTERN), np.inf, score))
        explanations.append(
            (tops[each, best], np.sqrt(error[each, best] / values), coefficients[:, :, k], mean)
        )
    chosen = np.argmin(scores, axis=0)
    drawn, residual, colour, behind = (
        np.stack(parts)[chosen, each] for parts in zip(*explanations, strict=True)
    )
    return chosen, drawn, residual, colour, behind


def _colours(seen: Array) -> NDArray[np.intp]:
    """Index of the nearest colour of the world, whatever its shade, for (N, 3) colours."""
    known = np.array(list(world.COLOURS.values()), np.float32)  # (C, 3)
    shade = np.clip((seen @ known.T) / (known**2).sum(1), 1 - world.SHADE_JITTER, 1 + world.SHADE_JITTER)
    return np.linalg.norm(seen[:, None] - shade[..., None] * known, axis=-1).argmin(1)


def _measure(images: NDArray[np.uint8]) -> tuple[dict[str, NDArray[np.str_]], Array, Array]:
    bank = _bank()
    rows: list[tuple[str, ...]] = []
    residuals, contrasts = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    for chunk in chunks(images):
        part = chunk.reshape(-1, PIXELS**2, 3).transpose(0, 2, 1) / np.float32(255)
        kind, drawn, residual, seen, behind = _explain(np.ascontiguousarray(part), bank)
        for k, d, c in zip(kind, drawn, _colours(seen), strict=True):
            shape, size, position = bank.names[d]
            rows.append((shape, world.VALUES["colour"][c], size, position, bank.kinds[k].name))
        residuals.append(residual)
        contrasts.append(np.sqrt(np.square(seen - behind).mean(1)))
    columns = np.array(rows, dtype=np.str_).reshape(-1, len(world.ATTRIBUTES)).T
    labels = dict(zip(world.ATTRIBUTES, columns, strict=True))
    return labels, np.concatenate(residuals), np.concatenate(contrasts)


@functools.cache
def clean_limit() -> float:
    """The 99th percentile of the residuals of 300 renders under noise: what still looks like this world."""
    renders = [world.render(world.scene(20_260_000, index), PIXELS) for index in range(300)]
    return residual_limit(renders, lambda images: _measure(images)[1])


def read_attributes(images: NDArray[np.uint8]) -> OracleReading:
    """Reads images (N, 32, 32, 3) uint8: the attributes, and whether the picture is of this world at all."""
    labels, residual, contrast = _measure(images)
    clean = (residual <= clean_limit()) & (contrast >= MIN_CONTRAST)
    return OracleReading(labels=labels, residual=residual, contrast=contrast, clean=clean)
