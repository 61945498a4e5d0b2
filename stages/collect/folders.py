"""Folders of images, with their captions in metadata files or in the names of class folders."""

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from stages.collect.files import Found, files_below, is_inside
from stages.collect.rows import Row, captions_of, columns_of
from stages.collect.tables import read
from stages.config import FolderSource
from stages.reasons import Reason
from stages.record import uid_of

METADATA = ("metadata.csv", "metadata.jsonl")
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


def folder_rows(
    source: FolderSource, stamps: Mapping[str, str], before: Mapping[str, str] | None
) -> Iterator[Row]:
    """Every picture that a folder means.

    Metadata files as in HF datasets' imagefolder: column `file_name` is a path below the metadata file's
    own folder, `caption_column` the caption, all other columns are passed through; files that no metadata
    file names are no rows. Without a metadata file every image file is a row, and the name of the folder it
    lies in, "_" read as a space, is its caption; files at the top have none.

    Args:
        source: which folder.
        stamps: path below the folder -> hash of the file, now.
        before: the same in the previous edition; None where there is none.

    Raises:
        ValueError: no folder, no images, or a metadata file that cannot be read; names them.
    """
    files = files_below(source.name, source.folder)
    tables = [name for name in files if posixpath.basename(name) in METADATA]
    rows = _from_metadata(source, tables) if tables else _from_names(source, files)
    empty = True
    for location, row, captions, caption_source, columns in rows:
        empty = False
        path = Path(source.folder, location)
        reason, detail = "", ""
        if location.startswith(("/", "../")) or not is_inside(path, Path(source.folder)):
            reason, detail = Reason.FORBIDDEN_PATH, "leads out of the folder"
        stamp = stamps.get(location, "")
        yield Row(
            uid=uid_of(source.name, location),
            source=source.name,
            location=location,
            row=row,
            captions=captions,
            caption_source=caption_source,
            columns=columns,
            reason=reason,
            detail=detail,
            path=str(path),
            stamp=stamp,
            changed=before is not None and before.get(location, "") != stamp,
        )
    if empty:
        named = f"{tables[0]} has no rows" if tables else "it holds no image files"
        raise ValueError(f"folder {source.folder!r} of source {source.name!r} is empty: {named}")


_Told = tuple[str, str, list[str], str, str]  # location, row, captions, their source, columns


def _from_metadata(source: FolderSource, tables: list[str]) -> Iterator[_Told]:
    for name in tables:
        table = Found(name, LocalFileSystem(), str(Path(source.folder, name)))
        number = 0
        for batch in read(table, ("file_name", source.caption_column), others=True):
            for cells in zip(*batch.values(), strict=True):
                values: dict[str, Any] = dict(zip(batch, cells, strict=True))
                file_name = str(values.pop("file_name") or "")
                captions = captions_of(values.pop(source.caption_column))
                location = posixpath.normpath(posixpath.join(posixpath.dirname(name), file_name))
                row = f"{source.name}:{name}:{number}"
                yield location, row, captions, source.caption_column, columns_of(values)
                number += 1


def _from_names(source: FolderSource, files: Mapping[str, Path]) -> Iterator[_Told]:
    for number, location in enumerate(name for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES):
        folder = posixpath.basename(posixpath.dirname(location))
        caption = folder.replace("_", " ").strip()
        yield location, f"{source.name}::{number}", [caption] if caption else [], "folder", "{}"
