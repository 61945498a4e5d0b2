"""What the demo's server sends for each planned row: headers, behaviour and bytes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from stages.demo import encode, manners, unusual, world
from stages.demo.defects import PlannedRow

PAGE = b"<!doctype html><html><title>Moved</title><body><p>This picture has moved.</p></body></html>\n"
BEHAVIOURS = frozenset({"flaky", "too_many", "flapping", "drip", "huge"})
"""Defects that are in how the server answers, not in what."""


@dataclass(frozen=True, kw_only=True)
class ServedBody:
    """What is served under a path: status, headers and bytes."""

    path: str
    status: int = 200
    content_type: str
    data: bytes
    behaviour: str = ""
    """One of BEHAVIOURS, or "" where every request gets the same."""
    headers: tuple[tuple[str, str], ...] = ()
    """Lines besides type and length."""


def bodies(row: PlannedRow, originals: Mapping[int, PlannedRow], seed: int) -> Iterator[ServedBody]:
    """Everything that must be served for a row; nothing where its URL leads nowhere, or is another row's.

    Args:
        row: as planned.
        originals: row number -> good row, of all that rows of its block are copies of.
        seed: of the world.
    """
    if row.defect in ("duplicate_url", "not_found"):
        return
    target = _target(row)
    if target:
        yield ServedBody(
            path=row.path,
            status=302,
            content_type="text/plain",
            data=b"elsewhere\n",
            headers=(("Location", target),),
        )
    if row.defect == "redirect_loop":
        back = (("Location", row.path),)
        yield ServedBody(path=target, status=302, content_type="text/plain", data=b"back\n", headers=back)
    if row.defect in ("redirect_loop", "redirect_private"):
        return
    content_type, data = _picture(row, originals, seed)
    yield ServedBody(
        path=target or row.path,
        content_type=content_type,
        data=data,
        behaviour=row.defect if row.defect in BEHAVIOURS else "",
        headers=tuple(manners.headers_of(row.defect, row.row)),
    )


def _target(row: PlannedRow) -> str:
    """Where a row's URL leads to, "" where it is the end."""
    if row.defect == "redirect_private":
        return f"http://{manners.PRIVATE_ADDRESS}{row.path}"
    folder, _, name = row.path.rpartition("/")
    return f"{folder}/moved/{name}" if row.defect in ("redirect", "redirect_loop") else ""


def _picture(row: PlannedRow, originals: Mapping[int, PlannedRow], seed: int) -> tuple[str, bytes]:
    """(content type, bytes)."""
    kind = f"image/{row.encoding.format}"
    if row.defect == "html":
        return "text/html; charset=utf-8", PAGE
    if row.defect == "placeholder":
        return "image/png", unusual.placeholder()
    if row.defect == "tiny":
        return kind, encode.encode_picture(np.full((1, 1, 3), 255, np.uint8), row.encoding)
    original = originals.get(row.picture, row)
    drawn = world.render(world.scene(seed, original.row, original.attributes), original.side)
    if row.defect == "exif":
        return kind, unusual.turned(drawn, row.encoding.quality, 2 + row.row % 7)
    if row.defect == "deep":
        return kind, unusual.deep(drawn)
    if row.defect == "cmyk":
        return kind, unusual.cmyk(drawn, row.encoding.quality)
    data = encode.encode_picture(drawn, original.encoding)
    if row.defect in ("reencoded_copy", "resized_copy"):
        pixels = encode.decode_picture(data)
        pixels = pixels if row.side == original.side else encode.resize(pixels, row.side)
        data = encode.encode_picture(pixels, row.encoding)
    if row.defect == "truncated":
        data = data[: len(data) * (30 + row.row % 40) // 100]
    return kind, data
