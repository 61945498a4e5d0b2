"""The one place that turns bytes into pixels.

What the rest of the project sees is always the same kind of picture: oriented as a viewer would show it,
opaque, three channels of 8-bit sRGB. `REPAIRS` names what has to be done for it.
"""

from stages.image.error import ImageError
from stages.image.header import FORMATS, Header, read_header
from stages.image.picture import MAX_PIXELS, REPAIRS, Picture, Pixels, decode_image, is_plain, picture_of
from stages.image.write import encode_image, shrink

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "REPAIRS",
    "Header",
    "ImageError",
    "Picture",
    "Pixels",
    "decode_image",
    "encode_image",
    "is_plain",
    "picture_of",
    "read_header",
    "shrink",
]
