"""Guesses at what captions a folder's pictures have, metadata, texts or classes, by a first look."""

import json
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from stages.collect.sources.files import SourceFile, files_below
from stages.collect.sources.folders import class_of, is_image
from stages.collect.sources.guess import Head, guess_caption
from stages.collect.sources.rows import text_of
from stages.collect.sources.sidecars import SidecarIndex
from stages.collect.sources.sniff import ROWS, first_rows
from stages.config.collect import FolderSource
from stages.regular_file import open_regular

CAPTION_KEYS = ("caption", "text", "prompt")
"""Keys of a .json that are tried, in this order."""
_FILE_COLUMNS = ("file_name", "filename", "file", "image", "image_path", "path", "filepath", "img")
_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
_MOST_TABLES = 5
"""Tables under other names that are looked into."""


def inspect_folder(name: str, folder: str) -> tuple[FolderSource, str, dict[str, str]]:
    """A guess at the source that a folder holds, what was looked at, and why it is thought so.

    ValueError where a metadata file has no column of captions, or none of files.
    """
    files = files_below(name, folder)
    images = [path for path in files if is_image(path)]
    saw = f"A folder of {len(images):,} images"
    usual = [path for path in files if posixpath.basename(path) in FolderSource.metadata]
    others = [path for path in files if posixpath.splitext(path)[1].lower() in _TABLES and path not in usual]
    for path in usual[:1] or others[:_MOST_TABLES]:
        source, why = _metadata(name, folder, path, files)
        if source is not None:
            return source, f"{saw}, captioned by {path}.", why
        if usual:
            raise ValueError(
                f"{str(files[path])!r} has no column 'file_name', nor another that names the folder's "
                "pictures; name it in file_column"
            )
    source = FolderSource(name=name, folder=folder)
    unused = "Of a metadata file; there is none."
    why = {"caption_column": unused, "file_column": unused}
    texts = [path for path in files if posixpath.splitext(path)[1].lower() in (".txt", ".caption", ".json")]
    sidecars = SidecarIndex(((path, number) for number, path in enumerate(texts)), images)
    beside = [sidecars.of(path, first_dot=False) for path in images[:ROWS]]
    kinds = [kind for kind in ("txt", ".caption", "json") if any(kind in own for own in beside)]
    classes = {posixpath.basename(posixpath.dirname(path)) for path in images}
    if kinds:
        counts = {kind: sum(kind in own for own in beside) for kind in kinds}
        listing = " and ".join(f"{count:,} have a .{kind.lstrip('.')}" for kind, count in counts.items())
        first = f"of the first {ROWS} " if len(images) > ROWS else ""
        saw += f"; {first}{listing} beside them, which is the caption."
        if "json" in kinds:
            example = next(files[texts[own["json"]]] for own in beside if "json" in own)
            keys, why["caption_keys"] = guess_keys(_json(example))
            source = FolderSource(name=name, folder=folder, caption_keys=keys)
    elif any(class_of(label)[0] for label in classes):
        saw += "; the folders that they lie in are their captions."
    else:
        saw += " without captions: put NAME.txt beside NAME.jpg, or a metadata.csv (file_name, text)."
    if any(class_of(label)[1] != 1 for label in classes):
        why["repeats"] = "There are folders with a number before their names."
    return source, saw, why


def guess_keys(value: Any) -> tuple[tuple[str, ...], str]:
    """Which key of a .json's object holds captions, and why it is thought so; the default where none does."""
    if isinstance(value, Mapping):
        for key in CAPTION_KEYS:
            caption: Any = value.get(key)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            if isinstance(caption, str | list) and caption:
                return (key,), "By its name, in the first .json."
    return FolderSource.caption_keys, "The first .json has no text under caption, text or prompt."


def _json(path: Path) -> Any:
    try:
        with open_regular(path) as file:
            return json.loads(file.read(1_000_000))
    except (OSError, ValueError, RecursionError):
        return None  # what reads them all will say so


def _metadata(
    name: str, folder: str, path: str, files: Mapping[str, Path]
) -> tuple[FolderSource | None, dict[str, str]]:
    """The source, if a table names the folder's pictures; None where it does not."""
    table = SourceFile(path, LocalFileSystem(), str(files[path]))
    head = first_rows(table)
    column = _file_column(head, posixpath.dirname(path), files)
    if not column:
        return None, {}
    caption, reason = guess_caption(head, [other for other in head if other != column])
    if not caption:
        raise ValueError(f"{table.path!r} has no column of captions beside {column!r}; add one")
    base = posixpath.basename(path)
    usual = base in FolderSource.metadata
    source = FolderSource(
        name=name,
        folder=folder,
        caption_column=caption,
        file_column=column,
        metadata=FolderSource.metadata if usual else (base,),
    )
    why = {"caption_column": reason}
    if column != FolderSource.file_column:
        why["file_column"] = "Its first values are paths of pictures in the folder."
    if not usual:
        why["metadata"] = "It names pictures of the folder."
    return source, why


def _file_column(head: Head, below: str, files: Mapping[str, Path]) -> str:
    """The column whose values are mostly files below a folder; of several the one with the likeliest name."""

    def is_file(value: Any) -> bool:
        path = posixpath.normpath(posixpath.join(below, text_of(value)))
        return path in files or path.replace("\\", "/") in files

    if FolderSource.file_column in head:
        return FolderSource.file_column
    candidates = [column for column in head if head[column] and _share(head[column], is_file) > 0.5]
    rank = {column: place for place, column in enumerate(_FILE_COLUMNS)}
    return min(candidates, key=lambda column: rank.get(column.lower(), len(rank)), default="")


def _share(values: Sequence[Any], test: Any) -> float:
    return sum(map(test, values)) / len(values)
