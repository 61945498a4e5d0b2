"""A 64-bit perceptual hash that holds still on flat, synthetic pictures.

The usual pHash takes a bit from each low frequency: whether its coefficient lies above the median (Zauner
2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"). On drawings, logos and other
flat pictures most coefficients are near zero and the median too, so that those bits are noise, and
re-encoding flips them. Here each coefficient gives two bits, "clearly above zero" and "clearly below", and
whatever is near zero gives 00, which stays 00. Measured on the demo world (JPEG q 50 at half size, the
hardest copy): 0.3 % of copies more than 3 bits away, against 7.7 % for pHash; it costs some more
candidates, which the comparison of pixels throws out.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn

SIDE = 32
"""Side of the small picture that stands for an image, pixels."""
COEFFICIENTS = 32
DEAD_ZONE = 0.6
"""Half-width of "near zero", in units of the picture's own root mean square coefficient."""
LEAST_CONTRAST = 0.01
"""Standard deviation of luma, [0, 0.5], below which a picture is too flat: its hash would be the noise of
its encoding."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # BT.601, as in JPEG
_FREQUENCIES = sorted(
    ((u, v) for u in range(8) for v in range(8) if (u, v) != (0, 0)),
    key=lambda uv: (uv[0] ** 2 + uv[1] ** 2, uv),
)[:COEFFICIENTS]


def thumbnail(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The small picture that stands for an image: (H, W, 3) uint8 sRGB to (32, 32, 3) uint8, its aspect
    given up.

    A triangle filter: Pillow's box filter counts a source pixel wholly or not at all, which at uneven
    ratios moves edges by half a source pixel. That made a resized copy differ six times as much (0.050
    against 0.007 of 1, at the 98th percentile).
    """
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.uint8)


def contrasts(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Standard deviation of luma in [0, 1]: (N, 32, 32, 3) uint8 to (N,) float32. Hashes of less than
    `LEAST_CONTRAST` say nothing."""
    return _luma(thumbnails).std(axis=(1, 2))


def perceptual_hashes(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Hashes of small pictures: (N, 32, 32, 3) uint8 to (N,) uint64.

    Luma's 32 lowest frequencies without the mean, each scaled by the root of its frequency's length, as
    pictures have less of the higher ones; bits 0 to 31 are "above the dead zone", bits 32 to 63 "below it",
    shuffled over the bands that the search cuts hashes into.
    """
    spectrum: npt.NDArray[np.float32] = np.asarray(dctn(_luma(thumbnails), axes=(1, 2), norm="ortho"))
    c = np.stack([spectrum[:, u, v] * (u * u + v * v) ** 0.5 for u, v in _FREQUENCIES], axis=1)  # (N, 32)
    limit = DEAD_ZONE * np.sqrt((c**2).mean(axis=1, keepdims=True))
    # the two bits of a frequency, and neighbouring frequencies, go to different bands
    bits = np.concatenate([c > limit, np.roll(c < -limit, 1, axis=1)], axis=1)  # (N, 64)
    interleaved = bits.reshape(-1, 16, 4).transpose(0, 2, 1).reshape(-1, 64)
    return np.packbits(interleaved, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64)


def _luma(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return thumbnails.astype(np.float32) @ _LUMA / np.float32(255)
