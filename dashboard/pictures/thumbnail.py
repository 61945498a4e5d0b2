"""Small pictures, made anew from the pixels: never a stranger's own bytes, and never what was taken down.

A picture's bytes are read by offset and length, compared with what their table says, decoded, shrunk and
encoded as WebP. What was made is kept in memory, by where the bytes lie now, so that a purge ends it too.
"""

import hashlib
import html
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dashboard.catalogue import Contents
from dashboard.pictures.places import PicturePlace, PicturePlaces
from dashboard.takedowns.watch import TakedownWatch
from stages.artifacts.artifact import Artifact
from stages.errors import StageError
from stages.foreign_text import escape
from stages.image import ImageError, encode_image, picture_of

SIDE = 160
"""Pixels of the longer side, unless a page asks for more."""
GREATEST = 640
"""Pixels of the longer side at most."""
QUALITY = 80
MEMORY = 64_000_000
"""Bytes of thumbnails that are kept in memory."""
DECODERS = 2
"""Pictures that are decoded at once: a large one takes hundreds of megabytes."""


class PictureGone(Exception):  # noqa: N818 -- somebody asked for it to go; nothing went wrong
    """The picture was taken down, or its bytes were purged; the words say which."""


class PictureMissing(Exception):  # noqa: N818 -- a page shows a placeholder
    """There is no picture, or no whole one; the words say why."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture made small."""

    data: bytes
    etag: str
    """Changes with the bytes that it was made from."""
    media: str = "image/webp"


class Thumbnails:
    """Makes thumbnails of a store, and keeps the last ones; safe to use from several threads."""

    def __init__(self, pictures: PicturePlaces, watch: TakedownWatch, memory: int = MEMORY) -> None:
        """Args:
        pictures: says where pictures lie.
        watch: says what was taken down.
        memory: bytes that may be kept."""
        self._pictures, self._watch, self._memory = pictures, watch, memory
        self._lock = threading.Lock()
        self._decoding = threading.Semaphore(DECODERS)
        self._kept: OrderedDict[str, Thumbnail] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._size

    def thumbnail(self, contents: Contents, artifact: Artifact, uid: str, side: int = SIDE) -> Thumbnail:
        """A picture of an artifact, or of the nearest one in its lineage that has it.

        Args:
            contents: of the store.
            artifact: in whose pages the picture is.
            uid: of the picture.
            side: pixels of the longer side at most; smaller pictures stay as they are.

        Raises:
            PictureGone: it was taken down, or its bytes were purged.
            PictureMissing: nobody has it, or what there is does not match its table.
        """
        forbidden = self._watch.forbidden()  # before all else: whatever is recorded by now counts
        number = forbidden.takedown(uid=uid)
        place = self._pictures.place(contents, artifact, uid) if number is None else None
        if place is not None:
            number = forbidden.takedown(uid=uid, sha256=place.sha256, location=place.location)
        if number is not None:
            raise PictureGone(f"taken down (take-down {number})")
        if place is None:
            raise PictureMissing("no picture is kept of this row")
        source = current(contents, place)
        key = _key(source, place, side)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        thumbnail = Thumbnail(self._made(source, place, side), key)
        self._keep(key, thumbnail)
        return thumbnail

    def _made(self, source: Artifact, place: PicturePlace, side: int) -> bytes:
        try:
            data = source.read(place.file, place.offset, place.length)
        except (StageError, ValueError) as error:
            raise PictureMissing("its file is missing or damaged") from error
        check(data, place)
        try:
            with self._decoding:
                image = picture_of(data).image
        except (ImageError, MemoryError) as error:
            raise PictureMissing("it cannot be decoded") from error
        image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
        return encode_image(np.asarray(image, dtype=np.uint8), "webp", QUALITY)

    def _keep(self, key: str, thumbnail: Thumbnail) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = thumbnail
                self._size += len(thumbnail.data)
            while self._size > self._memory:
                _, oldest = self._kept.popitem(last=False)
                self._size -= len(oldest.data)


def current(contents: Contents, place: PicturePlace) -> Artifact:
    """The artifact that has a picture's file, with the amendments of this moment.

    PictureMissing: it is not there any more."""
    artifact = contents.artifacts[place.fingerprint]
    below = f"amendments/{artifact.stage}/{artifact.fingerprint}"
    if sum(1 for _ in artifact.store.list(below)) != len(artifact.amendments):
        amended = Artifact.find(artifact.store, artifact.stage, artifact.fingerprint)
        if amended is None:
            raise PictureMissing("its files were dropped")
        return amended
    if artifact.dropped is not None:
        raise PictureMissing("its files were dropped")
    return artifact


def check(data: bytes, place: PicturePlace) -> None:
    """Compare a picture's bytes with what its table says of them.

    Raises:
        PictureGone: they are zeros, as a purge leaves them.
        PictureMissing: they are other bytes.
    """
    actual = (
        zlib.crc32(data) if isinstance(place.checksum, int) else hashlib.sha256(data).hexdigest()
    )  # as the table has it
    if actual == place.checksum and len(data) == place.length:
        return
    if len(data) == place.length and not any(data):
        raise PictureGone("purged after a take-down")
    raise PictureMissing("its bytes are damaged: `sdflow verify` says more")


def placeholder(words: str, side: int = SIDE) -> bytes:
    """A drawing in place of a picture, as SVG: a frame with a few words in it."""
    lines: list[str] = []
    for word in words.split():
        if lines and len(lines[-1]) + len(word) < 22:
            lines[-1] += f" {word}"
        else:
            lines.append(word[:22])
    text = "".join(
        f'<text x="80" y="{84 + 16 * number - 8 * len(lines[:4])}" text-anchor="middle">'
        f"{html.escape(escape(line))}</text>"
        for number, line in enumerate(lines[:4], 1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" viewBox="0 0 160 160" '
        'role="img" font-family="sans-serif" font-size="12" fill="#5a6472">'
        '<rect x="1" y="1" width="158" height="158" fill="#f3f5f7" stroke="#a3adba" '
        f'stroke-dasharray="4 4"/>{text}</svg>'
    ).encode()


def _key(source: Artifact, place: PicturePlace, side: int) -> str:
    try:
        key = source.entry(place.file).key
    except ValueError as error:
        raise PictureMissing("its file is missing") from error
    words = f"{key}\n{place.offset}\n{place.length}\n{place.checksum}\n{side}"
    return hashlib.sha256(words.encode()).hexdigest()[:32]
