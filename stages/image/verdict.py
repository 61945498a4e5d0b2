"""What bytes are taken for a picture: every file is decoded once before it counts as collected."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image

from stages.image.error import ImageError
from stages.image.header import read_header
from stages.image.limits import BYTE_RULES, SIDE_RULES, ImageLimits, Size, SizeRule, refusal
from stages.image.picture import Picture, Pixels, picture_of
from stages.reasons import Reason

BLANK_RANGE = 8
"""Levels of 255 by which each channel of a blank picture varies at most: what a lossy encoder may add to a
single colour (WebP up to 6), and nobody can see."""


_NEARLY_BLANK = BLANK_RANGE + 4
"""Means of blocks vary by less than their pixels, but for roundings: what they vary by more is not blank."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a file: a picture where `reason` is "", else why it is rejected and what was seen in
    it."""

    reason: str = ""
    detail: str = ""
    sha256: str = ""
    format: str = ""
    width: int = 0  # pixels, as displayed
    height: int = 0
    frames: int = 0  # of which the first is the picture
    repairs: tuple[str, ...] = ()  # words of `stages.image.REPAIRS`


def judge(data: bytes, limits: ImageLimits) -> Verdict:
    """Whether these bytes are a whole picture of a size that is wanted, with something on it.

    The same bytes and limits give the same verdict. Raises MemoryError where there is too little.
    """
    refused = judge_size(Size(0, 0, len(data)), limits, BYTE_RULES)
    if refused is not None:
        return refused
    try:
        header = read_header(data)
        refused = judge_size(Size(header.width, header.height, len(data)), limits)
        if refused is not None:  # its pixels are never asked for
            return refused
        picture = picture_of(data, max_pixels=limits.max_pixels, reduced=True)
        if (
            limits.drop_blank
            and picture.image.size != picture.size
            and _is_solid(picture.image, _NEARLY_BLANK)
        ):
            picture = picture_of(data, max_pixels=limits.max_pixels)
        blank = limits.drop_blank and _is_blank(data, picture, limits)
    except ImageError as error:
        return Verdict(error.reason, error.detail)
    width, height = picture.size
    refused = judge_size(Size(width, height, len(data)), limits)
    if refused is not None:
        return refused
    if blank:
        colour = "".join(f"{(low + high) // 2:02x}" for low, high in _extremes(picture.image))
        return Verdict(Reason.BLANK, f"nothing but #{colour}")
    sha256 = hashlib.sha256(data).hexdigest()
    return Verdict("", "", sha256, picture.format, width, height, picture.frames, picture.repairs)


def judge_size(size: Size, limits: ImageLimits, rules: Iterable[SizeRule] = SIDE_RULES) -> Verdict | None:
    """The refusal of a size by the first rule that refuses it; None if it is within all limits."""
    rule = refusal(rules, size, limits)
    return Verdict(rule.reason, rule.detail(size)) if rule else None


def blank_on(pixels: Pixels, data: bytes, background: str) -> bool:
    """Whether a picture is of a single colour for want of another background, see `BLANK_RANGE`.

    Args:
        pixels: (H, W, 3) uint8, what `decode_image` makes of it on the background.
        data: the file.
        background: "#rrggbb".
    """
    if not _is_solid(Image.fromarray(pixels)):
        return False
    inverse = "#" + bytes(255 - level for level in bytes.fromhex(background[1:])).hex()
    picture = picture_of(data, inverse)
    return "alpha" in picture.repairs and not _is_solid(picture.image)


def _is_blank(data: bytes, picture: Picture, limits: ImageLimits) -> bool:
    if not _is_solid(picture.image):
        return False
    if "alpha" not in picture.repairs:
        return True
    # White on transparent is blank on white alone.
    return _is_solid(picture_of(data, "#000000", limits.max_pixels).image)


def _is_solid(image: Image.Image, most: int = BLANK_RANGE) -> bool:
    return all(high - low <= most for low, high in _extremes(image))


def _extremes(image: Image.Image) -> list[tuple[int, int]]:
    return [image.getchannel(channel).getextrema() for channel in image.getbands()]  # pyright: ignore[reportReturnType]
