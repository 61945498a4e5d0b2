"""Writes what encoders make of a tar's pictures and captions into arrays that can be mapped.

`moments/NAME-HxW.npy`, (N, 2, 2 C, h, w): of each picture of that shape the posterior's mean and
log-variance, as it stands and mirrored: what an encoder makes of a mirrored picture is no mirrored latent.
`features/NAME-HxW.npy`, (N, 2, F, h, w) float16: of each picture the map of an image encoder, as it stands
and mirrored.
`states/NAME.npy`, (M, L, D), and `pooled/NAME.npy`, (M, D): of each caption.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sdmodel.latents.autoencoder import FrozenAutoencoder
from sdmodel.latents.cache import FEATURES
from sdmodel.latents.space import Space
from sdmodel.latents.text import FrozenTextEncoder

Picture = Callable[[int, tuple[int, int]], NDArray[np.uint8]]
"""(row, (H, W)) -> its picture, (H, W, 3)."""


@dataclass(frozen=True)
class MomentSums:
    """What a channel's mean and deviation are made of; sums over places and pictures, float64."""

    count: int
    """Values of each channel."""
    first: tuple[float, ...]
    """Sum of the means of each channel."""
    second: tuple[float, ...]
    """Sum of mean**2 + variance: of a sample's expected square."""

    def __add__(self, other: "MomentSums") -> "MomentSums":
        def added(mine: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
            return tuple(np.add(mine, theirs).tolist())

        return MomentSums(
            self.count + other.count, added(self.first, other.first), added(self.second, other.second)
        )


def space_of(sums: MomentSums, factor: int) -> Space:
    """The space in which samples of the posteriors have mean 0 and deviation 1 in every channel."""
    mean = np.array(sums.first) / sums.count
    variance = np.array(sums.second) / sums.count - mean**2
    deviation = np.sqrt(np.maximum(variance, 1e-12))  # a dead channel stays near 0 and finite
    return Space(len(mean), factor, tuple(mean.tolist()), tuple(deviation.tolist()))


def write_moments(
    folder: Path,
    name: str,
    shapes: Sequence[tuple[int, int]],
    picture: Picture,
    autoencoder: FrozenAutoencoder,
    *,
    batch: int,
    dtype: type[np.floating[Any]],
    map_: Callable[..., Any] = map,
) -> MomentSums:
    """Write the moments of N pictures.

    Args:
        folder: gets `moments/`.
        name: of the files.
        shapes: (H, W) to encode each picture at.
        picture: reads one.
        autoencoder: encodes.
        batch: pictures at a time.
        dtype: float32, or float16: means then are off by 2**-11 of their value, log-variances by 2**-7 at
            most.
        map_: reads several pictures; an executor's, for threads.

    Returns:
        The sums of all; `moment_places` says where each one's moments are.

    Raises:
        ValueError: a side does not fit the autoencoder, or its output is not finite.
    """
    total = MomentSums(0, (0.0,) * autoencoder.channels, (0.0,) * autoencoder.channels)

    def encode(pixels: torch.Tensor) -> NDArray[Any]:
        nonlocal total
        both = torch.stack([autoencoder.moments(pixels), autoencoder.moments(pixels.flip(-1))], dim=1)
        stored = _stored(
            both, dtype, f"the autoencoder's latents of {name}", "set encode.precision to fp32, or"
        )
        total += _sums(both)
        return stored

    _write(folder, "moments", name, shapes, picture, encode, batch=batch, map_=map_)
    return total


def write_features(
    folder: Path,
    name: str,
    shapes: Sequence[tuple[int, int]],
    picture: Picture,
    maps: Callable[[torch.Tensor], torch.Tensor],
    *,
    batch: int,
    map_: Callable[..., Any] = map,
) -> None:
    """Writes feature maps of N pictures, float16; arguments as of `write_moments`, but for `folder`, which
    gets `features/`, and `maps`, which makes them, (n, F, h, w) of pictures (n, 3, H, W) float32 in [-1, 1]
    on the CPU. ValueError: they are not finite."""

    def encode(pixels: torch.Tensor) -> NDArray[Any]:
        both = torch.stack([maps(pixels), maps(pixels.flip(-1))], dim=1)
        return _stored(both, np.float16, f"the image encoder's features of {name}", "")

    _write(folder, FEATURES, name, shapes, picture, encode, batch=batch, map_=map_)


def _write(
    folder: Path,
    what: str,
    name: str,
    shapes: Sequence[tuple[int, int]],
    picture: Picture,
    encode: Callable[[torch.Tensor], NDArray[Any]],
    *,
    batch: int,
    map_: Callable[..., Any],
) -> None:
    """An array for each shape below FOLDER/WHAT. encode: (n, 3, H, W) in [-1, 1] to (n, 2, ...), of pictures
    as they stand and mirrored."""
    (folder / what).mkdir(parents=True, exist_ok=True)
    for height, width in sorted(set(shapes)):
        rows = [row for row, shape in enumerate(shapes) if shape == (height, width)]
        array: NDArray[Any] | None = None
        for start in range(0, len(rows), batch):
            some = rows[start : start + batch]
            pixels = _pixels(list(map_(lambda row: picture(row, (height, width)), some)))  # noqa: B023 - used up
            stored = encode(pixels)
            if array is None:
                array = np.lib.format.open_memmap(
                    folder / _file(what, name, height, width),
                    mode="w+",
                    dtype=stored.dtype,
                    shape=(len(rows), *stored.shape[1:]),
                )
            array[start : start + len(some)] = stored
        if isinstance(array, np.memmap):
            array.flush()


def _stored(
    both: torch.Tensor, dtype: type[np.floating[Any]], words: str, remedy: str
) -> NDArray[np.floating[Any]]:
    with np.errstate(over="ignore"):
        stored = both.cpu().numpy().astype(dtype)  # (n, 2, ...)
    if not np.isfinite(stored).all():
        raise ValueError(
            f"{words} are not finite as {np.dtype(dtype)} (largest: {both.abs().max():g}); {remedy} take "
            "another encoder"
        )
    return stored


def moment_places(
    name: str, shapes: Sequence[tuple[int, int]], what: str = "moments"
) -> list[tuple[str, int]]:
    """File and row of the moments of each picture that `write_moments` wrote, or of its features where `what`
    is FEATURES."""
    written: dict[str, int] = {}
    places: list[tuple[str, int]] = []
    for height, width in shapes:
        file = _file(what, name, height, width)
        places.append((file, written.get(file, 0)))
        written[file] = written.get(file, 0) + 1
    return places


def _file(what: str, name: str, height: int, width: int) -> str:
    return f"{what}/{name}-{height}x{width}.npy"


def write_text(
    folder: Path,
    name: str,
    captions: Sequence[str],
    encoder: FrozenTextEncoder,
    *,
    batch: int,
    dtype: type[np.floating[Any]],
) -> None:
    """Write states and pooled vectors of captions, M >= 1, in their order."""
    parts = [
        encoder.encode_captions(captions[start : start + batch]) for start in range(0, len(captions), batch)
    ]
    for what in ("states", "pooled"):
        (folder / what).mkdir(parents=True, exist_ok=True)
        joined = np.concatenate([getattr(part, what).cpu().numpy().astype(dtype) for part in parts])
        np.save(folder / f"{what}/{name}.npy", joined)


def _pixels(pictures: list[NDArray[np.uint8]]) -> torch.Tensor:
    from sdmodel.data.pixels import to_float

    return to_float(np.stack(pictures).transpose(0, 3, 1, 2)).contiguous()  # (n, 3, H, W)


def _sums(both: torch.Tensor) -> MomentSums:
    mean, log_variance = both.double().flatten(0, 1).chunk(2, dim=1)  # (2 n, C, h, w)
    square = mean.square() + log_variance.exp()
    over = (0, 2, 3)
    return MomentSums(mean[:, 0].numel(), tuple(mean.sum(over).tolist()), tuple(square.sum(over).tolist()))
