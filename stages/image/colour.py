"""Whatever a decoder gives, as opaque 8-bit sRGB."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_BAND = 256
"""Rows that are scaled at a time, so that intermediate numbers take little memory."""


def opaque_srgb(image: Image.Image, background: tuple[int, int, int], data: bytes) -> Image.Image:
    """A loaded image of any mode in mode RGB, transparent pixels over `background`.

    `data` is the file that it comes from: Pillow tells the depth of a sample in some formats only.
    """
    profile: bytes = image.info.get("icc_profile") or b""
    image = _to_8_bits(image, data)
    if image.mode == "La":  # Pillow has no way from it to RGBA
        image = image.convert("LA")
    if image.mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, background)
        colours = _apply_profile(image.convert("RGB"), profile) if _transforms(profile, "RGB") else image
        canvas.paste(colours, mask=image)
        return canvas
    if image.mode == "1":
        image = image.convert("L")
    return _apply_profile(image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB"), profile)


def profile_changes_colours(image: Image.Image) -> bool:
    """Whether the profile embedded in an opened image changes its colours."""
    profile: bytes = image.info.get("icc_profile") or b""
    kind = "CMYK" if image.mode == "CMYK" else "L" if image.mode in _GREYS else "RGB"
    return any(_transforms(profile, mode) is not None for mode in _SPACES[kind])


_GREYS = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_SPACES = {"L": ("L", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}
"""A profile is for one colour space; one for another than the image's is ignored, as browsers do."""


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    for mode in _SPACES[image.mode]:
        transform = _transforms(profile, mode)
        if transform is not None:
            return transform.apply(image.convert(mode))
    return image.convert("RGB")


@lru_cache(maxsize=64)
def _transforms(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
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
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - lcms refuses wild profiles in many ways; then colours are sRGB
        return None


def _to_8_bits(image: Image.Image, data: bytes) -> Image.Image:
    """Greys of more than 8 bits scaled to 8, and transparent colours as values of the 8-bit image."""
    transparency = image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":
        grey, alpha = _scaled(image)
        if alpha is not None:
            return Image.merge("LA", (grey, alpha))
        return grey
    if image.format == "PNG" and transparency is not None and not isinstance(transparency, bytes):
        depth = data[24]
        if isinstance(transparency, tuple) and depth == 16:
            image.info["transparency"] = tuple(value >> 8 for value in transparency)
        elif isinstance(transparency, int) and image.mode == "L":
            image.info["transparency"] = transparency * 255 // ((1 << depth) - 1)
    return image


def _scaled(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A deep grey image in mode L, and its alpha where one value means transparent."""
    tags: Any = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    bits = int(tags.get(258, (16,))[0])
    signed = tags.get(339, (1,))[0] == 2  # SampleFormat
    transparency = image.info.get("transparency")
    width, height = image.size
    grey = Image.new("L", image.size)
    alpha = Image.new("L", image.size) if isinstance(transparency, int) else None
    for top in range(0, height, _BAND):
        band = np.asarray(image.crop((0, top, width, min(top + _BAND, height))))  # (rows, W)
        levels = _levels(band, bits, signed)
        grey.paste(Image.fromarray(255 - levels if tags.get(262) == 0 else levels), (0, top))  # WhiteIsZero
        if alpha is not None:
            opaque = np.where(band == transparency, 0, 255).astype(np.uint8)
            alpha.paste(Image.fromarray(opaque), (0, top))
    return grey, alpha


def _levels(values: NDArray[Any], bits: int, signed: bool) -> NDArray[np.uint8]:
    """Full-range integers of `bits` bits, or floats in [0, 1], as the nearest of 256 levels; NaN is black."""
    if values.dtype.kind == "f":
        return np.rint(np.nan_to_num(values.astype(np.float64), nan=0.0).clip(0, 1) * 255).astype(np.uint8)
    top = (1 << bits) - 1
    whole = values.astype(np.int64) & top  # Pillow keeps 32 unsigned bits in a signed number
    if signed:
        whole ^= 1 << (bits - 1)
    return ((whole * 255 + top // 2) // top).astype(np.uint8)
