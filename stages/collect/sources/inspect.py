"""Guesses at what sources some folders and files are, by a first look at them."""

import glob
import json
import re
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.collect.sources.files import PARQUETS, TARS, SourceFile, check_local, expand, files_below
from stages.collect.sources.folders import IMAGE_SUFFIXES, folder_rows
from stages.collect.sources.guess import guess_columns
from stages.collect.sources.inspect_folder import guess_keys, inspect_folder
from stages.collect.sources.parquets import parquet_rows, read_images
from stages.collect.sources.sniff import ROWS, column_names, first_rows, guess_dialect, holds_bytes
from stages.collect.sources.tables import dialect_of, read_table, url_rows
from stages.collect.sources.tars import tar_rows
from stages.config.collect import CollectConfig, FolderSource, ParquetSource, TarSource, UrlSource
from stages.image import ImageError, read_header
from stages.redaction import redact_url

TABLE = re.compile(r"\.(?:parquet|(?:csv|tsv|jsonl|ndjson|txt)(?:\.gz|\.zst)?)$", re.IGNORECASE)
MOST_FILES = 100
"""Tables of one source of which each is looked into."""
_IMAGE_NAMES = ("image", "img", "jpg", "jpeg", "png", "picture", "photo", "pixels", "bytes")


@dataclass(frozen=True)
class SourceGuess:
    """A guess at the source that a folder, or some files, hold."""

    source: UrlSource | FolderSource | TarSource | ParquetSource
    kind: str
    """Its field in `CollectConfig`."""
    saw: str
    """What was looked at, a sentence."""
    why: dict[str, str] = field(default_factory=dict[str, str])
    """Config key of the source -> why it has the value that it has, a sentence."""


def inspect_sources(places: Sequence[str]) -> list[SourceGuess]:
    """Guess the sources that some places hold, each with a name of its own.

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
    guesses: list[SourceGuess] = []
    taken: set[str] = set()
    for (kind, _), patterns in groups.items():
        name = _name(patterns, taken)
        taken.add(name)
        guess = _INSPECTORS[kind](name, patterns)
        _check(guess)
        guesses.append(guess)
    return guesses


def _check(guess: SourceGuess) -> None:
    """ValueError where collect would refuse the source, as far as the first rows of each file tell."""
    source = guess.source
    if isinstance(source, UrlSource):
        names = (source.url_column, *source.caption_columns, *source.columns)
        names += tuple(filter(None, [source.licence_column]))
        for table in expand(source.name, source.tables)[:MOST_FILES]:
            next(read_table(table, tuple(dict.fromkeys(names)), dialect=dialect_of(source)), None)
        rows = url_rows(source, changed=False)
    elif isinstance(source, FolderSource):
        rows = folder_rows(source, {}, None)
    elif isinstance(source, TarSource):
        rows = tar_rows(source, {}, None)
    else:
        rows = parquet_rows(source, {}, None)
    for _ in islice(rows, ROWS):
        pass


def _kind(place: str) -> tuple[str, str]:
    """What to look at a place as, and the path, glob or URL that means its files."""
    if not Path(place).is_dir():
        label = expand(redact_url(place), [place])[0].label
        if TABLE.search(label):
            return "table", place
        if label.lower().endswith(".tar"):
            return "tar", place
        raise ValueError(
            f"{redact_url(place)!r} is no source: give a folder of images, uncompressed .tar files, or "
            "tables (.parquet, .csv, .tsv, .jsonl, .ndjson, .txt of URLs; texts also as .gz or .zst)"
        )
    files = list(files_below(place, place))
    if any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in files):
        return "folder", place
    suffixes = Counter(".tar" for name in files if name.lower().endswith(".tar"))
    suffixes = suffixes or Counter(
        match[0] for name in files if (match := TABLE.search(name)) and ".txt" not in match[0].lower()
    )
    for suffix, _ in suffixes.most_common(1):
        below = "/**/" if all("/" in name for name in files if name.endswith(suffix)) else "/"
        return ("tar" if suffix == ".tar" else "table"), f"{glob.escape(place.rstrip('/'))}{below}*{suffix}"
    raise ValueError(f"folder {place!r} holds neither images nor tars nor tables; it has {len(files)} files")


def _folder(name: str, patterns: Sequence[str]) -> SourceGuess:
    (folder,) = patterns
    source, saw, why = inspect_folder(name, folder)
    return SourceGuess(source, "folders", saw, why)


def _tar(name: str, patterns: Sequence[str]) -> SourceGuess:
    tars = expand(name, patterns)
    check_local(name, tars, TARS)
    kinds: Counter[str] = Counter()
    keys, why = FolderSource.caption_keys, ""
    try:
        with tars[0].open() as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in islice(archive, ROWS):
                suffix = Path(member.name).suffix.lower()
                kinds["image" if suffix in IMAGE_SUFFIXES else suffix] += member.isreg()
                if suffix == ".json" and member.isreg() and member.size < 1_000_000 and not why:
                    keys, why = guess_keys(_json(archive, member))
    except (OSError, tarfile.TarError) as error:
        raise ValueError(
            f"tar {tars[0].path!r} cannot be read: {error}; it must be whole and uncompressed"
        ) from error
    if not kinds["image"]:
        raise ValueError(f"tar {tars[0].path!r} holds no images among its first {ROWS} members")
    contents = f"{kinds['image']} images, {kinds['.txt']} .txt and {kinds['.json']} .json"
    first = f"the first {ROWS} members" if kinds.total() >= ROWS else "the members"
    count = f"{len(tars):,} {'tars' if len(tars) > 1 else 'tar'}"
    saw = f"{count}; {first} of {Path(tars[0].path).name} are {contents}."
    source = TarSource(name=name, tars=tuple(patterns), caption_keys=keys)
    return SourceGuess(source, "tars", saw, {"caption_keys": why} if why else {})


def _json(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    file = archive.extractfile(member)
    try:
        return json.loads(file.read()) if file else None
    except (ValueError, RecursionError):
        return None  # what reads them all will say so


def _table(name: str, patterns: Sequence[str]) -> SourceGuess:
    tables = expand(name, patterns)
    table = tables[0]
    dialect, why_dialect = guess_dialect(table)
    head = first_rows(table, dialect=dialect)
    names = column_names(table, dialect)
    pictures = _picture_columns(table, names) if table.label.lower().endswith(".parquet") else []
    columns = guess_columns(
        head, [column for column in names if column not in head and column not in pictures[:1]]
    )
    count = f"{len(tables):,} {'files' if len(tables) > 1 else 'file'}"
    saw = f"{count}; the first rows of {table.label} were read."
    shared: Any = {"name": name, "tables": tuple(patterns), "caption_columns": columns.captions}
    shared |= {"licence_column": columns.licence}
    if pictures:
        check_local(name, tables, PARQUETS)
        passed = (*filter(None, [columns.url]), *columns.passed)
        why = columns.why | {"image_column": "Its bytes are those of a picture."}
        source = ParquetSource(image_column=pictures[0], columns=passed, **shared)
        return SourceGuess(source, "parquets", saw, why)
    if not columns.url:
        raise ValueError(
            f"table {table.path!r} has no column of http or https URLs and none of pictures' bytes; it has: "
            f"{', '.join(map(repr, names))}"
        )
    return SourceGuess(
        UrlSource(url_column=columns.url, columns=columns.passed, **asdict(dialect), **shared),
        "urls",
        saw,
        columns.why | why_dialect,
    )


def _picture_columns(table: SourceFile, names: Sequence[str]) -> list[str]:
    """Columns whose first bytes are a picture's, those with telling names first."""
    with table.open() as file:
        parquet = pq.ParquetFile(file, pre_buffer=False)
        kinds, rows = parquet.schema_arrow, parquet.metadata.num_rows
    likely = [name for name in names if holds_bytes(kinds.field(name).type)]
    likely.sort(key=lambda name: _IMAGE_NAMES.index(name.lower()) if name.lower() in _IMAGE_NAMES else 99)
    if likely and not table.is_local:
        raise ValueError(
            f"{table.path!r} holds bytes in {', '.join(map(repr, likely))} and is not on this machine; "
            f"copy {PARQUETS} to a local folder"
        )
    return [name for name in likely if _is_picture(table, name, rows)]


def _is_picture(table: SourceFile, column: str, rows: int) -> bool:
    try:
        cells = read_images(Path(table.path), column, range(min(rows, 16)), CollectConfig.max_bytes)
        data = next((data for _, data in cells if isinstance(data, bytes)), b"")
        read_header(data)
    except (ImageError, ValueError, OSError, pa.ArrowException):
        return False
    return True


def _name(patterns: Sequence[str], taken: set[str]) -> str:
    path = redact_url(patterns[0]).removesuffix("?…").rstrip("/")
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


_INSPECTORS = {"folder": _folder, "tar": _tar, "table": _table}
