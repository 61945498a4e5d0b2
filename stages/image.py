"""The one place that turns bytes into pixels.

What the rest of the project sees is always the same kind of picture: oriented as a viewer would show it,
opaque, three channels of 8-bit sRGB. What is done for it, in this order: 16-bit greys are scaled to 8 bits
(not clipped), palettes are resolved, colours are taken from the embedded ICC profile to sRGB, transparency is
laid over a background, EXIF orientation is applied. A PNG's gAMA and cHRM are not: browsers differ there.
"""

import io
import re
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from stages.header import FORMATS, Header, ImageError, inspect, is_cut
from stages.reasons import Reason

__all__ = ["FORMATS", "Header", "ImageError", "decode", "encode", "inspect", "is_plain", "shrink"]

Pixels = NDArray[np.uint8]

MAX_PIXELS = 178_956_970
"""Width times height above which nothing is decoded, whatever a config says: Pillow's own limit."""

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


def decode(data: bytes, background: str = "#ffffff", max_pixels: int = MAX_PIXELS) -> Pixels:
    """Encoded `data` as pixels, (H, W, 3) uint8 in [0, 255], sRGB, H and W as displayed.

    Args:
        data: a whole file of one of `FORMATS`.
        background: colour behind transparent pixels, "#rrggbb".
        max_pixels: width times height above which nothing is decoded; at most `MAX_PIXELS`.

    Raises:
        ImageError: reason NOT_AN_IMAGE, UNDECODABLE, TRUNCATED or TOO_LARGE; the same bytes will fail again.
        ValueError: `background` is no colour.
    """
    colour = _colour(background)
    header = inspect(data)
    _check_size(header.format, header.width, header.height, max_pixels)
    try:
        with Image.open(io.BytesIO(data), formats=[header.format]) as image:
            # A second frame header can contradict the first: what the decoder is about to allocate counts.
            _check_size(header.format, *image.size, max_pixels)
            image.load()
            orientation = _orientation(image)
            rgb = _opaque_srgb(image, colour)
    except ImageError:
        raise
    except Exception as error:  # a decoder fed by strangers raises anything, MemoryError too
        cut = "truncated" in str(error).lower() or is_cut(data, header.format)
        reason = Reason.TRUNCATED if cut else Reason.UNDECODABLE
        raise ImageError(reason, f"{header.format}: {error or type(error).__name__}") from error
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    return np.asarray(rgb, dtype=np.uint8).copy()  # (H, W, 3)


def shrink(pixels: Pixels, side: int) -> Pixels:
    """`pixels` (H, W, 3) uint8 averaged over areas on a square, whatever their aspect: (side, side, 3) uint8.

    Each output pixel is the mean over the source pixels whose centres it covers; at uneven ratios that moves
    edges by up to half a source pixel, so that
    dedup, which compares copies of different sizes, has its own thumbnails.
    """
    return np.asarray(
        Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX), dtype=np.uint8
    ).copy()


def encode(pixels: Pixels, format: str, quality: int = 95) -> bytes:
    """`pixels` (H, W, 3) uint8 sRGB as a file: "png" without loss, "jpeg" (4:4:4) and "webp" at a quality.

    `quality` is in [1, 100]. The same pixels give the same bytes on one platform.
    """
    settings: dict[str, dict[str, Any]] = {
        "png": {"optimize": False, "compress_level": 6},
        "jpeg": {"quality": quality, "subsampling": 0},
        "webp": {"quality": quality, "method": 4},
    }
    if format not in settings:
        raise ValueError(f"cannot write images as {format!r}: choose one of {', '.join(settings)}")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **settings[format])
    return buffer.getvalue()


def is_plain(data: bytes) -> bool:
    """Whether a file that decodes is an oriented, opaque, three-channel 8-bit sRGB jpeg, png or webp.

    Then any decoder gives the pixels that `decode` gives, and shards can keep the bytes. Reads headers only.
    """
    try:
        if inspect(data).format not in ("jpeg", "png", "webp"):
            return False
        with Image.open(io.BytesIO(data), formats=["jpeg", "png", "webp"]) as image:
            if image.mode != "RGB" or "transparency" in image.info or _orientation(image) != 1:
                return False
            if image.format == "PNG" and data[24] != 8:  # bit depth: Pillow reads 16-bit colour as mode RGB
                return False
            if image.format != "MPO" and getattr(image, "n_frames", 1) != 1:
                return False
            return _to_srgb(image.info.get("icc_profile") or b"", "RGB") is None
    except Exception:  # noqa: BLE001 - what cannot be read is not plain; `decode` says why
        return False


def _check_size(kind: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > min(max_pixels, MAX_PIXELS):
        raise ImageError(Reason.TOO_LARGE, f"{kind} of {width} x {height} pixels")


def _colour(background: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", background):
        raise ValueError(f'background must be a colour like "#ffffff", not {background!r}')
    red, green, blue = bytes.fromhex(background[1:])
    return red, green, blue


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - a broken EXIF block says nothing about the orientation; the pixels stand
        return 1


def _opaque_srgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    profile: bytes = image.info.get("icc_profile") or b""
    image, alpha = _split_alpha(image)
    rgb = _apply_profile(image, profile)
    if alpha is None or alpha.getextrema() == (255, 255):
        return rgb
    canvas = Image.new("RGB", rgb.size, background)
    canvas.paste(rgb, mask=alpha)
    return canvas


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The image in mode L, RGB or CMYK, and its alpha (mode L) where it has one."""
    transparency = image.info.get("transparency")
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion clips at 255
        values = np.asarray(image).astype(np.int64).clip(0, 65535)
        grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        if not isinstance(transparency, int):
            return grey, None
        return grey, Image.fromarray(np.where(values == transparency, 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or transparency is not None:
        rgba = image.convert("RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    if image.mode in ("L", "1"):
        return image.convert("L"), None
    return (image if image.mode in ("RGB", "CMYK") else image.convert("RGB")), None


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    # A profile is for one colour space; one for another than the image's is ignored, as browsers do.
    for mode in {"L": ("L", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}[image.mode] if profile else ():
        transform = _to_srgb(profile, mode)
        if transform is not None:
            return transform.apply(image.convert(mode))
    return image.convert("RGB")


@lru_cache(maxsize=64)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from `profile` to sRGB; None where there is none, it is unusable, or it is sRGB itself.

    Whether it is sRGB is decided by what it does to a grid of colours, not by its name: dozens of sRGB
    profiles are about under as many names, and applying them would cost time and a rounding.
    """
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", _INTENT, _FLAGS
        )
        if mode != "RGB":
            return transform
        steps = np.linspace(0, 255, 9).round().astype(np.uint8)
        grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(27, 27, 3)
        moved = np.asarray(transform.apply(Image.fromarray(grid)), dtype=np.int16) - grid
        return None if int(np.abs(moved).max()) <= 3 else transform
    except Exception:  # noqa: BLE001 - lcms refuses wild profiles in many ways; then colours are sRGB
        return None


_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
