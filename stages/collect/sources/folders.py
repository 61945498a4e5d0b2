"""Folders of images, with captions in metadata files, files beside them, or class folders' names."""

import errno
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from stages.collect.sources.delimited import INDEX_COLUMNS
from stages.collect.sources.files import Found, files_below, is_inside
from stages.collect.sources.leftovers import Leftovers
from stages.collect.sources.limits import Fault, Reading
from stages.collect.sources.rows import Row, captions_of, columns_of, fault_of, refused, text_of
from stages.collect.sources.sidecars import (
    ROLES,
    Beside,
    ConflictError,
    Sidecars,
    conflict,
    described,
    is_excluded,
    read_beside,
)
from stages.collect.sources.tables import read
from stages.config.collect import FolderSource
from stages.reasons import Reason
from stages.record import uid_of
from stages.regular_file import open_regular

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".heic",
        ".heif",
        ".jxl",
        ".svg",
        ".ico",
    ]
)
"""What counts as an image by its name in class folders and tars; whether it is one, its bytes decide."""
_REPEATS = re.compile(r"(\d{1,6})_")
_PLAIN_NAMES = ("image", "images", "img", "imgs", "photos", "pictures", "pics", "jpg", "jpeg", "png")


def folder_rows(
    source: FolderSource,
    stamps: Mapping[str, str],
    before: Mapping[str, str] | None,
    reading: Reading | None = None,
) -> Iterator[Row]:
    """Every picture that a folder means.

    Metadata files as in HF datasets' imagefolder: `file_column` is a path below the metadata file's own
    folder, `caption_column` the captions, all other columns are passed through but a frame's index; files
    that no metadata file names are no rows. Without a metadata file every image file is a row. If any has a
    caption beside it (`sidecars.Sidecars`: .txt, .caption, .json), these are the captions, and files without
    one have none. Else the name of the folder that a file lies in is its caption, where it is one: "_" read
    as a space, without the number of repeats before it. Files at the top have none. What a .json and a .cls
    say besides is passed through. What is not read is counted and said.

    Args:
        source: which folder.
        stamps: path below the folder -> hash of the file, now.
        before: the same in the previous edition; None where there is none.
        reading: the limits of a row, and who is asked whether to stop; the defaults where None.

    Raises:
        ValueError: no folder, no images, or a metadata file or a .json that cannot be read; names them.
    """
    reading = reading or Reading()
    odd: list[str] = []
    below = files_below(source.name, source.folder, lambda name, kind: odd.append(f"{name!r} is {kind}"))
    files = {name: path for name, path in below.items() if not is_excluded(name, source.exclude)}
    leftovers = Leftovers(source, reading)
    leftovers.odd(odd, len(below) - len(files))
    tables = [name for name in files if posixpath.basename(name) in source.metadata]
    rows = (
        _from_metadata(source, tables, files, reading)
        if tables
        else _from_files(source, files, reading, leftovers)
    )
    empty = True
    for row in rows:
        empty = False
        location, path = row.location, Path(source.folder, row.location)
        is_below = not location.startswith(("/", "../")) and "\0" not in location
        inside = location in files or (is_below and is_inside(path, Path(source.folder)))
        if not row.reason and not inside:
            row = row._replace(reason=Reason.FORBIDDEN_PATH, detail="leads out of the folder")
        elif not row.reason and location not in files and not path.exists():  # a look beforehand tells too
            row = row._replace(reason=Reason.MISSING_FILE, detail=os.strerror(errno.ENOENT))
        stamp = stamps.get(location, "")
        changed = before is not None and before.get(location, "") != stamp
        leftovers.seen.add(location)
        yield row._replace(path=str(path), stamp=stamp, changed=changed)
    if empty:
        named = f"{tables[0]} has no rows" if tables else "it holds no image files"
        raise ValueError(f"folder {source.folder!r} of source {source.name!r} is empty: {named}")
    leftovers.seen.update(tables)
    leftovers.unread(filter(is_image, files), (name for name in files if not is_image(name)))


def is_image(name: str) -> bool:
    """Whether a file counts as a picture by its name."""
    return posixpath.splitext(name)[1].lower() in IMAGE_SUFFIXES


def class_of(folder: str) -> tuple[str, int]:
    """The caption that a class folder's name is, "" where it is none, and how often its pictures count.

    "10_rex dog" is "rex dog", ten times, as kohya's scripts have it. What holds no letter ("00000"), and the
    names by which folders of pictures go, say nothing of what is in them.
    """
    number = _REPEATS.match(folder)
    words = folder[number.end() :] if number else folder
    words = words.replace("_", " ").strip()
    is_caption = any(map(str.isalpha, words)) and words.lower() not in _PLAIN_NAMES
    return words if is_caption else "", int(number[1]) if number else 1


def _from_metadata(
    source: FolderSource, tables: list[str], files: Mapping[str, Path], reading: Reading
) -> Iterator[Row]:
    for name in tables:
        table = Found(name, LocalFileSystem(), str(Path(source.folder, name)))
        number = 0
        for batch in read(table, (source.file_column, source.caption_column), reading, others=True):
            for place, cells in enumerate(zip(*batch.columns.values(), strict=True)):
                values: dict[str, Any] = dict(zip(batch.columns, cells, strict=True))
                location = _location(name, text_of(values.pop(source.file_column)), files)
                captions, origins = captions_of([source.caption_column], [values.pop(source.caption_column)])
                passed = columns_of({k: value for k, value in values.items() if k not in INDEX_COLUMNS})
                row_name = f"{source.name}:{name}:{number}"
                uid = uid_of(source.name, location)
                row = Row(uid, source.name, location, row_name, captions, origins, source.licence, passed)
                where = f"{name}, {batch.places[place]}"
                fault = batch.faults.get(place) or fault_of(captions, passed, where, reading)
                if fault is not None:  # under a name of its own: another row of the picture is not its copy
                    row = refused(row, fault)._replace(uid=uid_of(source.name, row_name))
                yield row
                number += 1


def _location(table: str, file_name: str, files: Mapping[str, Path]) -> str:
    """Where a metadata row leads; back-slashes part folders, as for HF's loader, unless a name has them."""
    location = posixpath.normpath(posixpath.join(posixpath.dirname(table), file_name))
    if "\\" in file_name and location not in files:
        return posixpath.normpath(posixpath.join(posixpath.dirname(table), file_name.replace("\\", "/")))
    return location


def _from_files(
    source: FolderSource, files: Mapping[str, Path], reading: Reading, leftovers: Leftovers
) -> Iterator[Row]:
    images = [name for name in files if is_image(name)]
    texts = [name for name in files if posixpath.splitext(name)[1].lower() in ROLES]
    sidecars = Sidecars(((name, number) for number, name in enumerate(texts)), images)

    def beside(location: str) -> Beside | Fault:
        reading.check()
        try:
            roles = sidecars.of(location, first_dot=False)
        except ConflictError as error:
            return conflict(str(error))
        names = {role: texts[number] for role, number in roles.items()}
        leftovers.seen.update(names.values())
        readers: dict[str, Callable[[int], bytes]] = {
            role: partial(_read, files[name]) for role, name in names.items()
        }
        return read_beside(readers, source.caption_keys, reading.limits)

    # Read up to the first caption, and each again with its row: all together may be more than memory holds.
    captioned = any(isinstance(words, Fault) or words.captions for words in map(beside, images))
    for number, location in enumerate(images):
        words = beside(location)
        caption, repeats = class_of(posixpath.basename(posixpath.dirname(location)))
        if not isinstance(words, Fault):
            leftovers.long_json += words.is_json_too_long
            if not captioned and caption:
                words = replace(words, captions=[caption], sources=["folder"])
            if source.repeats:
                words = replace(words, columns={"repeats": repeats, **words.columns})
        uid, row_name = uid_of(source.name, location), f"{source.name}::{number}"
        row = Row(uid, source.name, location, row_name, [], [], source.licence, "{}")
        yield described(row, words, reading)


def _read(path: Path, most: int) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(most)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
