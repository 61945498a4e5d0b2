"""What a place holds that pictures can come from, told by a first look at its files."""

import glob
import re
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from stages.collect.delimited import check_columns
from stages.collect.files import PARQUETS, TARS, Found, check_local, expand, files_below
from stages.collect.folders import IMAGE_SUFFIXES
from stages.collect.guess import Head, guess_caption, guess_columns
from stages.collect.parquets import read_images
from stages.collect.tables import read
from stages.config import CollectConfig, FolderSource, ParquetSource, TarSource, UrlSource
from stages.image import ImageError, inspect

ROWS = 200
"""Rows and members that are looked at."""
TABLE = re.compile(r"\.(?:parquet|(?:csv|tsv|jsonl|ndjson)(?:\.gz|\.zst)?)$", re.IGNORECASE)
_IMAGE_NAMES = ("image", "img", "jpg", "jpeg", "png", "picture", "photo", "pixels", "bytes")


@dataclass(frozen=True)
class Guess:
    """A source that a place seems to be."""

    source: UrlSource | FolderSource | TarSource | ParquetSource
    kind: str
    """Its field in `CollectConfig`."""
    saw: str
    """What was looked at, a sentence."""
    why: dict[str, str] = field(default_factory=dict[str, str])
    """Config key of the source -> why it has the value that it has, a sentence."""


def inspect_sources(places: Sequence[str]) -> list[Guess]:
    """What some places hold, each source with a name of its own.

    Args:
        places: folders, and paths, globs and fsspec URLs of tables and tars. Files of one kind that lie
            beside each other, as a shell's glob gives them, are one source.

    Raises:
        ValueError: there is nothing, or nothing that pictures can come from; names the place and what there
            is.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for place in dict.fromkeys(places):
        kind, pattern = _kind(place)
        beside = place if kind == "folder" else pattern.rpartition("/")[0]
        groups.setdefault((kind, beside), []).append(pattern)
    guesses: list[Guess] = []
    taken: set[str] = set()
    for (kind, _), patterns in groups.items():
        name = _name(patterns, taken)
        taken.add(name)
        guesses.append(_LOOKS[kind](name, patterns))
    return guesses


def first_rows(table: Found, rows: int = ROWS) -> Head:
    """The first rows of a table, column -> values; of Parquet only columns without bytes.

    ValueError if it cannot be read.
    """
    if not table.label.lower().endswith(".parquet"):
        head = next(read(table, (), others=True), None)
        return {name: values[:rows] for name, values in head.columns.items()} if head else {}
    try:
        with table.system.open(table.path, "rb") as file:
            parquet = pq.ParquetFile(file, pre_buffer=False)
            kinds = parquet.schema_arrow
            names = [name for name, kind in zip(kinds.names, kinds.types, strict=True) if not _bytes_in(kind)]
            check_columns(names, kinds.names, table.path)
            batches = parquet.iter_batches(rows, columns=names) if names else iter(())
            batch = next(batches, None)
            return {name: batch.column(name).to_pylist() if batch else [] for name in names}
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"table {table.path!r} cannot be read as parquet: {error}; check the file"
        ) from error


def column_names(table: Found) -> list[str]:
    """All columns of a table, as far as its first rows tell."""
    if not table.label.lower().endswith(".parquet"):
        return list(first_rows(table))
    with table.system.open(table.path, "rb") as file:
        return list(pq.ParquetFile(file, pre_buffer=False).schema_arrow.names)


def _kind(place: str) -> tuple[str, str]:
    """What to look at a place as, and the path, glob or URL that means its files."""
    if not Path(place).is_dir():
        path = expand(place, [place])[0].path
        if TABLE.search(path):
            return "table", place
        if path.lower().endswith(".tar"):
            return "tar", place
        raise ValueError(
            f"{path!r} is no source: give a folder of images, uncompressed .tar files, or tables (.parquet, "
            ".csv, .tsv, .jsonl, .ndjson; texts also as .gz or .zst)"
        )
    files = list(files_below(place, place))
    if any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in files):
        return "folder", place
    suffixes = Counter(".tar" for name in files if name.lower().endswith(".tar"))
    suffixes = suffixes or Counter(found[0] for name in files if (found := TABLE.search(name)))
    for suffix, _ in suffixes.most_common(1):
        below = "/**/" if all("/" in name for name in files if name.endswith(suffix)) else "/"
        return ("tar" if suffix == ".tar" else "table"), f"{glob.escape(place.rstrip('/'))}{below}*{suffix}"
    raise ValueError(f"folder {place!r} holds neither images nor tars nor tables; it has {len(files)} files")


def _folder(name: str, patterns: Sequence[str]) -> Guess:
    (folder,) = patterns
    files = files_below(name, folder)
    images = [path for path in files if Path(path).suffix.lower() in IMAGE_SUFFIXES]
    saw = f"A folder of {len(images):,} images"
    tables = [path for path in files if path.rpartition("/")[2] in FolderSource.metadata]
    if tables:
        table = Found(tables[0], LocalFileSystem(), str(files[tables[0]]))
        head = first_rows(table)
        check_columns(["file_name"], list(head), table.path)
        column, why = guess_caption(head, [one for one in head if one != "file_name"])
        if not column:
            raise ValueError(f"{table.path!r} has no column of captions beside 'file_name'; add one")
        source = FolderSource(name=name, folder=folder, caption_column=column)
        return Guess(source, "folders", f"{saw}, captioned by {tables[0]}.", {"caption_column": why})
    texts = sum(f"{path.rpartition('.')[0]}.txt" in files for path in images)
    if texts:
        saw += f"; {texts:,} have a .txt beside them, which is the caption."
    elif any("/" in path for path in images):
        saw += "; the folders that they lie in are their captions."
    else:
        saw += " without captions: put NAME.txt beside NAME.jpg, or a metadata.csv (file_name, text)."
    unused = "Of metadata.csv or metadata.jsonl; there is none."
    return Guess(FolderSource(name=name, folder=folder), "folders", saw, {"caption_column": unused})


def _tar(name: str, patterns: Sequence[str]) -> Guess:
    found = expand(name, patterns)
    check_local(name, found, TARS)
    kinds: Counter[str] = Counter()
    try:
        with tarfile.open(found[0].path, "r:") as archive:
            for member in islice(archive, ROWS):
                suffix = Path(member.name).suffix.lower()
                kinds["image" if suffix in IMAGE_SUFFIXES else suffix] += member.isreg()
    except (OSError, tarfile.TarError) as error:
        raise ValueError(
            f"tar {found[0].path!r} cannot be read: {error}; it must be whole and uncompressed"
        ) from error
    if not kinds["image"]:
        raise ValueError(f"tar {found[0].path!r} holds no images among its first {ROWS} members")
    told = f"{kinds['image']} images, {kinds['.txt']} .txt and {kinds['.json']} .json"
    first = f"the first {ROWS} members" if kinds.total() >= ROWS else "the members"
    tars = f"{len(found):,} {'tars' if len(found) > 1 else 'tar'}"
    saw = f"{tars}; {first} of {Path(found[0].path).name} are {told}."
    return Guess(TarSource(name=name, tars=tuple(patterns)), "tars", saw)


def _table(name: str, patterns: Sequence[str]) -> Guess:
    found = expand(name, patterns)
    table = found[0]
    head = first_rows(table)
    names = column_names(table)
    pictures = _picture_columns(table, names) if table.label.lower().endswith(".parquet") else []
    columns = guess_columns(head, [one for one in names if one not in head and one not in pictures[:1]])
    saw = (
        f"{len(found):,} {'files' if len(found) > 1 else 'file'}; the first rows of {table.label} were read."
    )
    shared: Any = {"name": name, "tables": tuple(patterns), "caption_columns": columns.captions}
    shared |= {"licence_column": columns.licence}
    if pictures:
        check_local(name, found, PARQUETS)
        passed = (*filter(None, [columns.url]), *columns.passed)
        why = columns.why | {"image_column": "Its bytes are those of a picture."}
        source = ParquetSource(image_column=pictures[0], columns=passed, **shared)
        return Guess(source, "parquets", saw, why)
    if not columns.url:
        raise ValueError(
            f"table {table.path!r} has no column of http or https URLs and none of pictures' bytes; it has: "
            f"{', '.join(map(repr, names))}"
        )
    return Guess(
        UrlSource(url_column=columns.url, columns=columns.passed, **shared), "urls", saw, columns.why
    )


def _picture_columns(table: Found, names: Sequence[str]) -> list[str]:
    """Columns whose first bytes are a picture's, those with telling names first."""
    with table.system.open(table.path, "rb") as file:
        parquet = pq.ParquetFile(file, pre_buffer=False)
        kinds, rows = parquet.schema_arrow, parquet.metadata.num_rows
    likely = [name for name in names if _bytes_in(kinds.field(name).type)]
    likely.sort(key=lambda name: _IMAGE_NAMES.index(name.lower()) if name.lower() in _IMAGE_NAMES else 99)
    if likely and not table.is_local:
        raise ValueError(
            f"{table.path!r} holds bytes in {', '.join(map(repr, likely))} and is not on this machine; "
            f"copy {PARQUETS} to a local folder"
        )
    return [name for name in likely if _is_picture(table, name, rows)]


def _is_picture(table: Found, column: str, rows: int) -> bool:
    try:
        cells = read_images(Path(table.path), column, range(min(rows, 16)), CollectConfig.max_bytes)
        data = next((data for _, data in cells if isinstance(data, bytes)), b"")
        inspect(data)
    except (ImageError, ValueError, OSError, pa.ArrowException):
        return False
    return True


def _bytes_in(kind: Any) -> bool:
    """Whether values of an Arrow type hold bytes, however deep."""
    if any(kind.field(place) and _bytes_in(kind.field(place).type) for place in range(kind.num_fields)):
        return True
    return any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def _name(patterns: Sequence[str], taken: set[str]) -> str:
    path = patterns[0].rstrip("/")
    stem = path.rpartition("/")[2]
    if len(patterns) > 1 or glob.has_magic(stem):
        stem = re.sub(r"/\*\*$", "", path.rpartition("/")[0]).rpartition("/")[2]
    elif not Path(path).is_dir():
        stem = re.sub(r"-\d+-of-\d+$", "", stem.split(".", 1)[0])
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "pictures"
    number = next(number for number in range(1, len(taken) + 2) if _numbered(name, number) not in taken)
    return _numbered(name, number)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


_LOOKS = {"folder": _folder, "tar": _tar, "table": _table}
