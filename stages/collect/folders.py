"""Folders of images, with their captions in metadata files, texts beside them, or class folders' names."""

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from stages.collect.files import Found, files_below, is_inside
from stages.collect.rows import Row, captions_of, columns_of, text_of
from stages.collect.tables import read
from stages.config import FolderSource
from stages.reasons import Reason
from stages.record import uid_of

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
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
    own folder, `caption_column` the captions, all other columns are passed through; files that no metadata
    file names are no rows. Without a metadata file every image file is a row. If any has a text beside it,
    NAME.txt beside NAME.jpg, the captions are these texts: the whole of each, without white space around it,
    is one caption, and files without one have none. Else the name of the folder that a file lies in, "_" read
    as a space, is its caption; files at the top have none.

    Args:
        source: which folder.
        stamps: path below the folder -> hash of the file, now.
        before: the same in the previous edition; None where there is none.

    Raises:
        ValueError: no folder, no images, or a metadata file that cannot be read; names them.
    """
    files = files_below(source.name, source.folder)
    tables = [name for name in files if posixpath.basename(name) in METADATA]
    rows = _from_metadata(source, tables) if tables else _from_files(source, files)
    empty = True
    for location, row, captions, caption_sources, columns in rows:
        empty = False
        path = Path(source.folder, location)
        reason, detail = "", ""
        is_below = not location.startswith(("/", "../"))
        if location not in files and not (is_below and is_inside(path, Path(source.folder))):
            reason, detail = Reason.FORBIDDEN_PATH, "leads out of the folder"
        stamp = stamps.get(location, "")
        yield Row(
            uid=uid_of(source.name, location),
            source=source.name,
            location=location,
            row=row,
            captions=captions,
            caption_sources=caption_sources,
            licence=source.licence,
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


_Told = tuple[str, str, list[str], list[str], str]  # location, row, captions, their sources, columns


def _from_metadata(source: FolderSource, tables: list[str]) -> Iterator[_Told]:
    for name in tables:
        table = Found(name, LocalFileSystem(), str(Path(source.folder, name)))
        number = 0
        for batch in read(table, ("file_name", source.caption_column), others=True):
            for cells in zip(*batch.columns.values(), strict=True):
                values: dict[str, Any] = dict(zip(batch.columns, cells, strict=True))
                file_name = text_of(values.pop("file_name"))
                told = captions_of([source.caption_column], [values.pop(source.caption_column)])
                location = posixpath.normpath(posixpath.join(posixpath.dirname(name), file_name))
                yield location, f"{source.name}:{name}:{number}", *told, columns_of(values)
                number += 1


def _from_files(source: FolderSource, files: Mapping[str, Path]) -> Iterator[_Told]:
    images = [name for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES]
    texts = {name: beside for name in images if (beside := f"{posixpath.splitext(name)[0]}.txt") in files}
    for number, location in enumerate(images):
        if texts:
            caption, said_by = _text(files[texts[location]]) if location in texts else "", "txt"
        else:
            folder = posixpath.basename(posixpath.dirname(location))
            caption, said_by = folder.replace("_", " ").strip(), "folder"
        row = f"{source.name}::{number}"
        yield location, row, [caption] if caption else [], [said_by] if caption else [], "{}"


def _text(path: Path) -> str:
    """What a text file says; a megabyte of it, and what is no UTF-8 replaced."""
    try:
        with path.open("rb") as file:
            return file.read(1_000_000).decode("utf-8-sig", "replace").strip()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
