"""What differs from a plain canvas, and how much it differs between two pictures.

A small object on a plain canvas is averaged away in a small picture of the whole: another creature of the
same outline, or the same one in other colours, then looks like a copy. So the foreground is looked at by
itself, in pixels of its own:

* The canvas is the median colour of a picture's outermost pixels, where at least half of them are within
  `PLAIN` levels of it. The foreground is what differs from it by more than `DISTINCT` levels in a channel;
  without a canvas it is the whole picture.
* Two pictures are laid over each other by their canvases' corners, at the lesser resolution of the two, and
  their differences in luma and chroma (BT.601, see difference.py) averaged over every `WINDOW` x `WINDOW`
  pixels, canvas not counted: codecs wreck single pixels and edges, and resizing moves them, but means hold.
* The difference is the root mean square of those means over the foreground: in [0, 1].

Measured at 36 to 72 pixels, on sprites and emoji that the small pictures take for copies: re-encoded and
resized copies below .035 (.988 of them, .993 without JPEG and WebP of quality 50); of 992 pairs of sprites
with more than a fifth of the foreground far off 6 are.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import uniform_filter

from stages.dedup.difference import YCC

PLAIN = 12
"""Levels of 255 that a canvas varies by at its edge: what lossy encoders add to a plain colour."""
DISTINCT = 24
"""Levels of 255 in a channel by which the foreground differs from the canvas: above a codec's ringing."""
SIDE = 64
"""Longest side of a kept crop, pixels; larger foregrounds are scaled down to it."""
MARGIN = 4
"""Pixels of canvas that are kept around a foreground: what its edges spill into."""
WINDOW = 6
"""Side of the squares that differences are averaged over, pixels."""
LEAST_COVER = 0.25
"""Share of a square that counts at least, where less of it is foreground: few pixels say little."""
MOST_APART = 4 * SIDE
"""Longest side of what two foregrounds cover together, in pixels of a crop. Beyond it they lie apart, or one
is a fraction of the other: no copies."""

Bytes = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Foreground:
    """What a picture shows on its canvas.

    Attributes:
        size: width and height of the whole picture, pixels.
        canvas: its colour; None where there is none, and the crop is of the whole picture.
        box: left, top, right, bottom of the crop, pixels of the picture; around it is canvas, within `PLAIN`
            levels. (A box around what differs by `DISTINCT` would leave out of one copy what it keeps of the
            other, where a pattern is just as strong.)
        crop: (H, W, 3) uint8, sides of 1 to `SIDE`; (0, 0, 3) for pictures that are neither small nor have a
            canvas, whose small pictures say enough.
    """

    size: tuple[int, int]
    canvas: Colour | None
    box: Box
    crop: Bytes


def foreground(pixels: Bytes) -> Foreground:
    """The foreground of a picture, (H, W, 3) uint8 sRGB, and nothing but it where it has a canvas."""
    height, width, _ = pixels.shape
    canvas = canvas_of(pixels)
    box = (0, 0, width, height)
    if canvas is not None:
        unlike = _unlike(pixels, canvas, PLAIN)
        box = _around(unlike) if unlike.any() else box
    elif max(width, height) > SIDE:
        return Foreground((width, height), None, box, np.zeros((0, 0, 3), np.uint8))
    left, top, right, bottom = box
    crop = pixels[top:bottom, left:right]
    factor = min(1.0, SIDE / max(right - left, bottom - top))
    if factor < 1:
        sides = (max(1, round((right - left) * factor)), max(1, round((bottom - top) * factor)))
        crop = np.asarray(Image.fromarray(crop).resize(sides, Image.Resampling.BILINEAR), np.uint8)
    return Foreground((width, height), canvas, box, crop)


def canvas_of(pixels: Bytes) -> Colour | None:
    """The plain colour that a picture, (H, W, 3) uint8, lies on; None where its edge is not plain."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])  # (E, 3)
    colour = np.sort(edge, axis=0)[len(edge) // 2]
    near = (np.abs(edge.astype(np.int16) - colour) <= PLAIN).all(axis=1)
    return (int(colour[0]), int(colour[1]), int(colour[2])) if near.mean() >= 0.5 else None


def foreground_difference(first: Foreground, second: Foreground) -> float:
    """How much the foregrounds of two pictures of one aspect ratio differ, as defined above: in [0, 1].

    Symmetric; 0 for equal pictures, and where neither has a foreground. Both need a crop.
    """
    union = _union(first, second)
    if union is None:
        return 1.0
    place, sides = union
    a, b = _drawn(first, place, sides), _drawn(second, place, sides)
    shown = _shown(a, first.canvas) | _shown(b, second.canvas)
    if not shown.any():
        return 0.0
    ycc = (a.astype(np.float32) - b) @ YCC.T / np.float32(255)  # (H, W, 3)
    means = uniform_filter(ycc, WINDOW, mode="constant", axes=(0, 1))
    cover = np.maximum(uniform_filter(shown.astype(np.float32), WINDOW, mode="constant"), LEAST_COVER)
    squares = ((means / cover[..., None]) ** 2).sum(axis=2)
    return min(1.0, float(np.sqrt(squares[shown].mean(dtype=np.float64))))


def _unlike(pixels: Bytes, canvas: Colour, levels: int) -> npt.NDArray[np.bool_]:
    """Where a channel is more than so many levels off the canvas, (H, W)."""
    colour = np.array(canvas, np.uint8)
    return np.asarray((np.maximum(pixels, colour) - np.minimum(pixels, colour) > levels).any(axis=2))


def _shown(pixels: Bytes, canvas: Colour | None) -> npt.NDArray[np.bool_]:
    return np.ones(pixels.shape[:2], np.bool_) if canvas is None else _unlike(pixels, canvas, DISTINCT)


def _around(marked: npt.NDArray[np.bool_]) -> Box:
    """The box of what is marked, with its margin."""
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    height, width = marked.shape
    return (
        max(0, int(columns[0]) - MARGIN),
        max(0, int(rows[0]) - MARGIN),
        min(width, int(columns[-1]) + 1 + MARGIN),
        min(height, int(rows[-1]) + 1 + MARGIN),
    )


def _union(
    first: Foreground, second: Foreground
) -> tuple[tuple[float, float, float, float], tuple[int, int]] | None:
    """What both crops cover together, in shares of a picture's sides, and the pixels that it is compared at;
    None where that is too much."""
    spans: list[tuple[float, float]] = []
    sides: list[int] = []
    for axis in (0, 1):
        low = min(picture.box[axis] / picture.size[axis] for picture in (first, second))
        high = max(picture.box[axis + 2] / picture.size[axis] for picture in (first, second))
        scales = [_scale(picture, axis) * picture.size[axis] for picture in (first, second)]
        if (high - low) * max(scales) > MOST_APART:
            return None
        spans.append((low, high))
        sides.append(max(1, round((high - low) * min(scales))))
    (left, right), (top, bottom) = spans
    return (left, top, right, bottom), (sides[0], sides[1])


def _scale(picture: Foreground, axis: int) -> float:
    """Pixels of the crop to one of the picture."""
    return picture.crop.shape[1 - axis] / (picture.box[axis + 2] - picture.box[axis])


def _drawn(picture: Foreground, place: tuple[float, float, float, float], sides: tuple[int, int]) -> Bytes:
    """A stretch of a picture, in shares of its sides, at `sides` pixels: its crop, and canvas around it."""
    ends: list[tuple[float, float]] = []
    pads: list[tuple[int, int]] = []
    for axis in (0, 1):
        begin, scale, length = picture.box[axis], _scale(picture, axis), picture.crop.shape[1 - axis]
        low = (place[axis] * picture.size[axis] - begin) * scale
        high = (place[axis + 2] * picture.size[axis] - begin) * scale
        before = max(0, math.ceil(-low - _ROUNDING))
        after = max(0, math.ceil(high - length - _ROUNDING))
        ends.append((max(0.0, low + before), min(high + before, float(length + before + after))))
        pads.append((before, after))
    (across, down) = pads
    crop = picture.crop
    if picture.canvas is None:  # the crop is of all there is
        padded = np.pad(crop, (down, across, (0, 0)), mode="edge")
    else:
        shape = (crop.shape[0] + sum(down), crop.shape[1] + sum(across), 3)
        padded = np.full(shape, picture.canvas, np.uint8)
        padded[down[0] : down[0] + crop.shape[0], across[0] : across[0] + crop.shape[1]] = crop
    (left, right), (top, bottom) = ends
    image = Image.fromarray(padded)
    if (
        image.size == sides
        and max(abs(left), abs(top), abs(right - sides[0]), abs(bottom - sides[1])) < _ROUNDING
    ):
        return padded
    return np.asarray(
        image.resize(sides, Image.Resampling.BILINEAR, box=(left, top, right, bottom)), np.uint8
    )


_ROUNDING = 1e-6
