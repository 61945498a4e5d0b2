"""A file decoded to an oriented, opaque picture in 8-bit sRGB, and what it took."""

import io
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from stages.config.collect import MAX_PIXELS
from stages.image import avif, png
from stages.image.colour import opaque_srgb, profile_changes_colours
from stages.image.error import ImageError
from stages.image.frames import frames_of
from stages.image.header import Header, is_cut, read_header
from stages.image.variant import variant_of
from stages.reasons import Reason

Pixels = NDArray[np.uint8]

REPAIRS = ("oriented", "profile", "deep", "cmyk", "grey", "palette", "alpha", "animated")
"""What decoding sets right, in words that tables keep:

- oriented: turned or mirrored as its EXIF orientation asks, not XMP's (AVIF: its irot and imir boxes);
- profile: taken to sRGB by an embedded ICC profile that is not sRGB;
- deep: more than 8 bits a channel. Greys are scaled from the full range of their integers, or from [0, 1]
  where they are floats; colours keep their upper byte, which differs from that by one level at most;
- cmyk: four inks, in JPEGs stored as 255 - ink, as Adobe and browsers have it. Without a profile
  R = (1 - C)(1 - K), G = (1 - M)(1 - K), B = (1 - Y)(1 - K);
- grey: one channel, of 1 to 32 bits, repeated in three;
- palette: colours by number;
- alpha: an alpha channel, transparent colour or uncovered canvas, laid over the background;
- animated: the first of several frames or pages.

A PNG's gAMA and cHRM and an AVIF's colour primaries without a profile are not applied: browsers differ there.
"""

_READERS = {
    "jpeg": JpegImagePlugin,
    "png": PngImagePlugin,
    "webp": WebPImagePlugin,
    "gif": GifImagePlugin,
    "bmp": BmpImagePlugin,
    "tiff": TiffImagePlugin,
    "avif": AvifImagePlugin,
}
"""What imports have registered; where one is missing, Pillow would import the readers of all 40 formats."""

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A decoded file: `image` is in mode RGB, oriented and opaque sRGB."""

    image: Image.Image
    size: tuple[int, int]
    """Width and height as displayed; those of `image`, save where that is reduced."""
    format: str
    frames: int
    """Frames of an animation or pages of a TIFF, of which `image` is the first; else 1."""
    repairs: tuple[str, ...]
    """What was set right: words of `REPAIRS`, in that order."""


def decode_image(data: bytes, background: str = "#ffffff", max_pixels: int = MAX_PIXELS) -> Pixels:
    """Encoded `data` as pixels, (H, W, 3) uint8 in [0, 255], sRGB, H and W as displayed: see `picture_of`."""
    return np.asarray(picture_of(data, background, max_pixels).image, dtype=np.uint8).copy()  # (H, W, 3)


def picture_of(
    data: bytes, background: str = "#ffffff", max_pixels: int = MAX_PIXELS, *, reduced: bool = False
) -> Picture:
    """Encoded `data` as a picture, and what it took.

    Args:
        data: a whole file of one of `FORMATS`.
        background: colour behind transparent pixels, "#rrggbb".
        max_pixels: width times height above which nothing is decoded; at most `MAX_PIXELS`.
        reduced: a JPEG that takes no profile may come as the means of its blocks of 8 x 8 pixels, without
            the up to 15 pixels at its right and lower edge. All of the file is still read, in half the time.

    Raises:
        ImageError: reason NOT_AN_IMAGE, UNSUPPORTED_FORMAT, UNDECODABLE, TRUNCATED or TOO_LARGE; the same
            bytes will fail again.
        MemoryError: there is too little; that says nothing about the bytes.
        ValueError: `background` is no colour.
    """
    colour = _colour(background)
    header = read_header(data)
    _check_size(header.format, header.width, header.height, max_pixels)
    try:
        if header.format == "png":
            png.check(data)
            data = png.without_chunks(data, png.ignored_transparency(data))
        with _opened(data, header) as image:
            # A second frame header can contradict the first: what the decoder is about to allocate counts.
            _check_size(header.format, *image.size, max_pixels)
            image.info.pop("xmp", None)  # Pillow turns a TIFF by it, which no viewer does
            covered = image.tile[0][1] if header.format == "gif" and image.tile else None
            orientation = _orientation(image) if header.format == "tiff" else 0
            size = image.size
            crop = _reduce(image, header) if reduced else None
            image.load()
            orientation = orientation or _orientation(image)
            frames = _frames(image, data, header)
            repairs = _repairs(image, data, header, orientation, frames)
            if covered is not None and covered != (0, 0, *image.size) and "alpha" not in repairs:
                image = _uncovered(image, covered)
                repairs |= {"alpha"}
            crop = crop or (avif.crop_of(data, image.size) if header.format == "avif" else None)
            rgb = opaque_srgb(image if crop is None else image.crop(crop), colour, data)
            if header.format == "avif":
                size, crop = rgb.size, None
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # a decoder fed by strangers raises anything
        raise _failure(error, data, header) from error
    if orientation in _UPRIGHT and header.format != "tiff":  # those Pillow turns itself
        rgb = rgb.transpose(_UPRIGHT[orientation])
        size = (size[1], size[0]) if orientation >= 5 else size
    size = rgb.size if crop is None else size
    return Picture(rgb, size, header.format, frames, tuple(word for word in REPAIRS if word in repairs))


def is_plain(data: bytes) -> bool:
    """Whether a file that decodes is a jpeg, png or webp that takes no repair.

    Then any decoder gives the pixels that `decode_image` gives, and shards can keep the bytes. Reads headers
    only, save for PNGs with metadata behind their pixels.
    """
    try:
        header = read_header(data)
        if header.format not in ("jpeg", "png", "webp"):
            return False
        if header.format == "png" and png.ignored_transparency(data):
            return False  # other decoders heed it
        if header.format == "png" and png.has_late_metadata(data):
            return not picture_of(data).repairs
        with _opened(data, header) as image:
            frames = _frames(image, data, header)
            return image.mode == "RGB" and not _repairs(image, data, header, _orientation(image), frames)
    except Exception:  # noqa: BLE001 - what cannot be read is not plain; `decode_image` says why
        return False


def _opened(data: bytes, header: Header) -> ImageFile.ImageFile:
    assert header.format in _READERS
    return Image.open(io.BytesIO(data), formats=[header.format])


def _reduce(image: ImageFile.ImageFile, header: Header) -> tuple[int, int, int, int] | None:
    """Have the decoder give blocks' means, and the box of those that lie in the picture wholly."""
    width, height = image.size
    if (
        header.format != "jpeg"
        or min(width, height) < 64
        or image.mode not in ("L", "RGB")
        or profile_changes_colours(image)
    ):
        return None
    image.draft(image.mode, (width // 8, height // 8))
    return (0, 0, width // 16 * 2, height // 16 * 2)  # colours come in blocks of 16


def _failure(error: Exception, data: bytes, header: Header) -> ImageError | MemoryError:
    """What a decoder's error says of the bytes."""
    words = str(error).lower()
    if "out of memory" in words:
        return MemoryError(f"{header.format}: {error}")
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(Reason.TOO_LARGE, f"{header.format}: {error}")
    ends = is_cut(data, header.format)
    variant = "" if ends else variant_of(data, header.format)
    if variant:
        return ImageError(Reason.UNSUPPORTED_FORMAT, variant)
    cut = "truncated" in words or ends
    message = str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):  # whose own words name an address in memory
        message = "its header makes no sense"
    return ImageError(Reason.TRUNCATED if cut else Reason.UNDECODABLE, f"{header.format}: {message}")


def _check_size(kind: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > min(max_pixels, MAX_PIXELS):
        raise ImageError(Reason.TOO_LARGE, f"{kind} of {width} x {height} pixels")


def _colour(background: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", background):
        raise ValueError(f'background must be a colour like "#ffffff", not {background!r}')
    red, green, blue = bytes.fromhex(background[1:])
    return red, green, blue


def _orientation(image: Image.Image) -> int:
    """By EXIF alone. (Pillow's `getexif` falls back on XMP, which viewers don't turn pictures by.)"""
    try:
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            return int(image.tag_v2.get(_EXIF_ORIENTATION, 1))
        exif = Image.Exif()
        if "exif" in image.info:
            exif.load(image.info["exif"])
        elif "Raw profile type exif" in image.info:  # as ImageMagick wrote it before PNG had a chunk for it
            exif.load(bytes.fromhex("".join(image.info["Raw profile type exif"].split("\n")[3:])))
        return int(exif.get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - a broken EXIF block says nothing about the orientation; the pixels stand
        return 1


def _frames(image: Image.Image, data: bytes, header: Header) -> int:
    return int(getattr(image, "n_frames", 1)) if header.format == "avif" else frames_of(data, header.format)


def _repairs(image: Image.Image, data: bytes, header: Header, orientation: int, frames: int) -> set[str]:
    """What there is to set right, by what the opened file says of itself."""
    words = {
        "oriented": orientation in _UPRIGHT,
        "profile": profile_changes_colours(image),
        "deep": _is_deep(image, data, header),
        "cmyk": image.mode == "CMYK",
        "grey": image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I") or _is_grey_png(data),
        "palette": image.mode in ("P", "PA"),
        "alpha": image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info,
        "animated": frames > 1,
    }
    return {word for word, holds in words.items() if holds}


def _is_grey_png(data: bytes) -> bool:
    return data[1:4] == b"PNG" and data[25] in (
        0,
        4,
    )  # colour type; Pillow reads 16-bit grey with alpha as RGBA


def _is_deep(image: Image.Image, data: bytes, header: Header) -> bool:
    if header.format == "png":
        return data[24] > 8  # Pillow reads 16-bit colour as mode RGB
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(258, (1,))) > 8  # BitsPerSample
    return header.format == "avif" and avif.is_deep(data)


def _uncovered(image: Image.Image, covered: tuple[int, int, int, int]) -> Image.Image:
    """A GIF whose first frame covers less than its canvas: the rest is nothing, not a colour."""
    alpha = Image.new("L", image.size, 0)
    alpha.paste(255, covered)
    image = image.convert("RGBA")
    image.putalpha(alpha)
    return image
