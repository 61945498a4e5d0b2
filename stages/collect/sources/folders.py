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
from stages.collect.sources.files import SourceFile, files_below, is_inside
from stages.collect.sources.limits import ReadContext, Rejection
from stages.collect.sources.rows import SourceRow, captions_of, columns_of, rejected, rejection_of, text_of
from stages.collect.sources.sidecars import (
    ROLES,
    ConflictError,
    SidecarContent,
    SidecarIndex,
    conflict,
    is_excluded,
    read_sidecars,
    with_sidecars,
)
from stages.collect.sources.tables import read_table
from stages.collect.sources.unread_files import UnreadFiles
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
    reading: ReadContext | None = None,
) -> Iterator[SourceRow]:
    """Every picture that a folder means.

    Metadata files as in HF datasets' imagefolder: `file_column` is a path below the metadata file's own
    folder, `caption_column` the captions, all other columns are passed through but a frame's index; files
    that no metadata file names are no rows. Without a metadata file every image file is a row. If any has a
    caption beside it (`sidecars.Sidecars`: .txt, .caption, .json), these are the captions, and files without
    one have none. Else the name of the folder that a file lies in is its caption, where it is one: "_" read
    as a space, without the number of repeats before it. Files at the top have none. What a .json and a .cls
    say besides is passed through. What is not read is counted and reported.

    Args:
        source: which folder.
        stamps: path below the folder -> hash of the file, now.
        before: the same in the previous edition; None where there is none.
        reading: the limits of a row, and what checks whether to stop; the defaults where None.

    Raises:
        ValueError: no folder, no images, or a metadata file or a .json that cannot be read; names them.
    """
    reading = reading or ReadContext()
    odd: list[str] = []
    below = files_below(source.name, source.folder, lambda name, kind: odd.append(f"{name!r} is {kind}"))
    files = {name: path for name, path in below.items() if not is_excluded(name, source.exclude)}
    unread = UnreadFiles(source, reading)
    unread.report_odd(odd, len(below) - len(files))
    tables = [name for name in files if posixpath.basename(name) in source.metadata]
    rows = (
        _from_metadata(source, tables, files, reading)
        if tables
        else _from_files(source, files, reading, unread)
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
        unread.seen.add(location)
        yield row._replace(path=str(path), stamp=stamp, changed=changed)
    if empty:
        named = f"{tables[0]} has no rows" if tables else "it holds no image files"
        raise ValueError(f"folder {source.folder!r} of source {source.name!r} is empty: {named}")
    unread.seen.update(tables)
    unread.report_unread(filter(is_image, files), (name for name in files if not is_image(name)))


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
    source: FolderSource, tables: list[str], files: Mapping[str, Path], reading: ReadContext
) -> Iterator[SourceRow]:
    for name in tables:
        table = SourceFile(name, LocalFileSystem(), str(Path(source.folder, name)))
        number = 0
        for batch in read_table(table, (source.file_column, source.caption_column), reading, others=True):
            for place, cells in enumerate(zip(*batch.columns.values(), strict=True)):
                values: dict[str, Any] = dict(zip(batch.columns, cells, strict=True))
                location = _location(name, text_of(values.pop(source.file_column)), files)
                captions, origins = captions_of([source.caption_column], [values.pop(source.caption_column)])
                passed = columns_of({k: value for k, value in values.items() if k not in INDEX_COLUMNS})
                row_name = f"{source.name}:{name}:{number}"
                uid = uid_of(source.name, location)
                row = SourceRow(
                    uid, source.name, location, row_name, captions, origins, source.licence, passed
                )
                where = f"{name}, {batch.places[place]}"
                rejection = batch.rejections.get(place) or rejection_of(captions, passed, where, reading)
                if (
                    rejection is not None
                ):  # under a name of its own: another row of the picture is not its copy
                    row = rejected(row, rejection)._replace(uid=uid_of(source.name, row_name))
                yield row
                number += 1


def _location(table: str, file_name: str, files: Mapping[str, Path]) -> str:
    """Where a metadata row leads; back-slashes part folders, as for HF's loader, unless a name has them."""
    location = posixpath.normpath(posixpath.join(posixpath.dirname(table), file_name))
    if "\\" in file_name and location not in files:
        return posixpath.normpath(posixpath.join(posixpath.dirname(table), file_name.replace("\\", "/")))
    return location


def _from_files(
    source: FolderSource, files: Mapping[str, Path], reading: ReadContext, unread: UnreadFiles
) -> Iterator[SourceRow]:
    images = [name for name in files if is_image(name)]
    texts = [name for name in files if posixpath.splitext(name)[1].lower() in ROLES]
    sidecars = SidecarIndex(((name, number) for number, name in enumerate(texts)), images)

    def sidecars_of(location: str) -> SidecarContent | Rejection:
        reading.check()
        try:
            roles = sidecars.of(location, first_dot=False)
        except ConflictError as error:
            return conflict(str(error))
        names = {role: texts[number] for role, number in roles.items()}
        unread.seen.update(names.values())
        readers: dict[str, Callable[[int], bytes]] = {
            role: partial(_read, files[name]) for role, name in names.items()
        }
        return read_sidecars(readers, source.caption_keys, reading.limits)

    # Read up to the first caption, and each again with its row: all together may be more than memory holds.
    captioned = any(
        isinstance(content, Rejection) or content.captions for content in map(sidecars_of, images)
    )
    for number, location in enumerate(images):
        content = sidecars_of(location)
        caption, repeats = class_of(posixpath.basename(posixpath.dirname(location)))
        if not isinstance(content, Rejection):
            unread.long_json += content.is_json_too_long
            if not captioned and caption:
                content = replace(content, captions=[caption], sources=["folder"])
            if source.repeats:
                content = replace(content, columns={"repeats": repeats, **content.columns})
        uid, row_name = uid_of(source.name, location), f"{source.name}::{number}"
        row = SourceRow(uid, source.name, location, row_name, [], [], source.licence, "{}")
        yield with_sidecars(row, content, reading)


def _read(path: Path, most: int) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(most)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
