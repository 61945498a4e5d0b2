"""An index of tars that others wrote, as WebDataset lays them out: members of a sample share a key, the name
up to its first dot, and say by the rest what they are ("0001.jpg", "0001.txt", "0001.json").

Nothing is unpacked: pictures stay where they are, and the index says at which bytes. Tars are foreign. Links,
devices and sparse members are passed over, headers and texts are bounded, and a picture is decoded once, by
the formats below alone, before the index names it.
"""

import hashlib
import io
import json
import posixpath
import tarfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from sdmodel.data.index import KEY, VERSION

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
"""Ends of the names of members that are pictures."""
FORMATS = ("JPEG", "PNG", "WEBP")
"""Of their bytes, whatever the names say."""
CAPTIONS = (".txt", ".caption", "caption", "text")
KEY_AS_CAPTION = "__key__"
MOST_HEADER = 2**20
"""Bytes of a member's header, extended ones among them."""
MOST_TEXT = 2**16
"""Bytes of a .txt or .json."""
MOST_BYTES, MOST_PIXELS = 2**27, 2**26
"""Of a picture."""
ORIENTATION = 0x0112
"""EXIF's tag."""
SCHEMA = pa.schema(
    [
        ("uid", pa.string()),
        ("file", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("checksum", pa.uint32()),
        ("split", pa.string()),
        ("captions", pa.list_(pa.struct([("text", pa.string())]))),
        ("height", pa.int32()),
        ("width", pa.int32()),
    ],
    metadata={KEY.decode(): str(VERSION)},
)


@dataclass(frozen=True)
class IndexedTars:
    """What an index was made of."""

    rows: int
    """Pictures in it."""
    left_out: Counter[str]
    """Why -> members that were left out."""


@dataclass(frozen=True)
class _Member:
    offset: int
    size: int


class _Headers:
    """A tar's file as `tarfile` sees it: more than a header at once is not read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.tell, self.seek = file, file.tell, file.seek

    def read(self, size: int) -> bytes:
        if size > MOST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes; {MOST_HEADER:,} are read at most")
        return self.file.read(size)


def index_tars(
    tars: Iterable[Path | str],
    index: Path | str,
    *,
    captions: Sequence[str] = CAPTIONS,
    validation: float = 0.0,
) -> IndexedTars:
    """Writes the index of all pictures of some tars, for `sdmodel.fit` and `sdmodel.data.index.read_index`.

    Args:
        tars: uncompressed; they must stay where they are, or move together with the index if they lie below
            its folder.
        index: the file to write, "index.parquet".
        captions: where captions come from, each a caption: ends of members' names, which begin with a dot,
            and keys of the .json, for texts, numbers, or lists of them. "__key__" is the sample's key.
        validation: share of the pictures for the validation split, chosen by their names; the others are for
            training. Copies are not looked for: one of each split may show the same.

    Pictures are taken as they are stored. Left out, and counted, are those that are not JPEG, PNG or WebP,
    that do not decode, that are larger than is read, have more than 8 bits a channel, are to be turned
    (EXIF), or have a name twice; of texts those that are too long, or no JSON.

    ValueError: a tar is compressed or damaged, or there is no picture in any.
    """
    target = Path(index)
    rows, left_out = 0, Counter[str]()
    unfinished = target.with_name(f".{target.name}.half")
    try:
        with pq.ParquetWriter(unfinished, SCHEMA, compression="zstd") as writer:
            for tar in map(Path, tars):
                records = list(_records(tar, _name(tar, target.parent), captions, validation, left_out))
                rows += len(records)
                writer.write_table(pa.Table.from_pylist(records, SCHEMA))
        if not rows:
            raise ValueError(f"no picture was found to index; left out: {dict(left_out)}")
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return IndexedTars(rows, left_out)


def tars_of(index: Path | str) -> dict[str, Path]:
    """Where the tars lie that an index names: its own name for each -> the path."""
    files = pq.read_table(index, columns=["file"]).column("file").unique().to_pylist()
    return {file: Path(index).resolve().parent / file for file in files}


def _name(tar: Path, folder: Path) -> str:
    """Relative where it lies below the index's folder."""
    path, beside = tar.resolve(), folder.resolve()
    return path.relative_to(beside).as_posix() if path.is_relative_to(beside) else path.as_posix()


def _records(
    tar: Path, name: str, captions: Sequence[str], validation: float, left_out: Counter[str]
) -> Iterator[dict[str, Any]]:
    with tar.open("rb") as file:
        try:
            samples = _samples(file, left_out)
        except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
            raise ValueError(
                f"{tar}: not a tar that can be read ({error}); it must be uncompressed"
            ) from error
        for key, members in samples.items():
            texts = _captions(file, key, members, captions, left_out)
            for suffix in (suffix for suffix in members if _is_picture(suffix)):
                member, uid = members[suffix], _uid(tar.name, key + suffix)
                data = _read(file, member) if member.size <= MOST_BYTES else b""
                size = _size(data) if data else "too large, or empty"
                if isinstance(size, str):
                    left_out[size] += 1
                    continue
                share = int(uid[:8], 16) / 2**32
                yield {
                    "uid": uid,
                    "file": name,
                    "offset": member.offset,
                    "length": member.size,
                    "checksum": zlib.crc32(data),
                    "split": "validation" if share < validation else "train",
                    "captions": [{"text": text} for text in texts],
                    "height": size[0],
                    "width": size[1],
                }


def _samples(file: BinaryIO, left_out: Counter[str]) -> dict[str, dict[str, _Member]]:
    """Key -> end of the name -> where it lies, of plain files; names that come twice are left out."""
    samples: defaultdict[str, dict[str, _Member]] = defaultdict(dict)
    double: set[tuple[str, str]] = set()
    headers: Any = _Headers(file)
    with tarfile.open(fileobj=headers, mode="r:", encoding="utf-8", errors="backslashreplace") as archive:
        every: Any = archive
        for member in archive:
            every.members = []  # or it keeps every header that it has read
            folder, base = posixpath.split(member.name)
            stem, dot, rest = base.partition(".")
            if member.isdir() or not stem:
                continue
            if not member.isreg() or member.issparse():
                left_out["not a plain file"] += 1
                continue
            key, suffix = posixpath.join(folder, stem), (dot + rest).lower()
            if suffix in samples[key]:
                double.add((key, suffix))
            samples[key][suffix] = _Member(member.offset_data, member.size)
    for key, suffix in double:
        del samples[key][suffix]
        left_out["its name comes twice"] += 1
    return samples


def _is_picture(suffix: str) -> bool:
    return suffix.endswith(PICTURES)


def _uid(tar: str, member: str) -> str:
    return hashlib.sha256(f"{tar}\n{member}".encode(errors="backslashreplace")).hexdigest()[:32]


def _read(file: BinaryIO, member: _Member) -> bytes:
    file.seek(member.offset)
    return file.read(member.size)


def _size(data: bytes) -> tuple[int, int] | str:
    """Height and width of a picture, which decodes; else why it is left out."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                return "too many pixels"
            if image.mode.startswith(("I", "F")):
                return "more than 8 bits a channel"
            if image.getexif().get(ORIENTATION, 1) != 1:
                return "to be turned"
            image.load()
            return image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "not an image"


def _captions(
    file: BinaryIO, key: str, members: dict[str, _Member], sources: Sequence[str], left_out: Counter[str]
) -> list[str]:
    """Those of a sample, in the order of their sources; stripped, and none that is empty."""
    texts = {KEY_AS_CAPTION: key}
    for suffix in {source if source.startswith(".") else ".json" for source in sources} & members.keys():
        if members[suffix].size > MOST_TEXT:
            left_out["a text that is too long"] += 1
        else:
            texts[suffix] = _read(file, members[suffix]).decode(errors="replace")
    known: Any = {}
    if ".json" in texts:
        try:
            known = json.loads(texts[".json"])
        except (ValueError, RecursionError):
            left_out["not JSON"] += 1
    from_json = cast("dict[str, Any]", known) if isinstance(known, dict) else {}
    stripped = [text.strip() for source in sources for text in _plain({**from_json, **texts}.get(source))]
    return [text for text in stripped if text]


def _plain(value: Any) -> list[str]:
    """A text or a number, or a list of them, as texts; nothing of anything else."""
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [str(each) for each in values if isinstance(each, str | int | float)]
