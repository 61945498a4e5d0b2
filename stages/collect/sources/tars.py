"""WebDataset tars: image members with texts, JSON and classes beside them."""

import posixpath
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from stages.collect.sources.files import TARS, SourceFile, check_local, expand
from stages.collect.sources.folders import IMAGE_SUFFIXES
from stages.collect.sources.limits import ReadContext, Rejection
from stages.collect.sources.rows import SourceRow
from stages.collect.sources.sidecars import (
    ROLES,
    ConflictError,
    SidecarContent,
    SidecarIndex,
    conflict,
    counted,
    is_excluded,
    read_sidecars,
    suffix_of,
    with_sidecars,
)
from stages.config.collect import TarSource
from stages.record import uid_of


@dataclass
class _Contents:
    """Members of a tar: name, offset, length."""

    images: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    texts: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    others: Counter[str] = field(default_factory=Counter[str])
    """Suffix -> members that are not read."""
    excluded: int = 0


def tar_rows(
    source: TarSource,
    stamps: Mapping[str, str],
    before: Mapping[str, str] | None,
    reading: ReadContext | None = None,
) -> Iterator[SourceRow]:
    """Every image member of a source's tars.

    What belongs to a picture, `sidecars.Sidecars` says: captions are its .txt and .caption, the whole of
    each, and what stands under the source's `caption_keys` in its .json; the rest of the .json and the .cls
    are passed through as columns. Two members that claim the same place refuse the row. What is not read is
    counted and reported.

    Args:
        source: which tars, plain ones.
        stamps: label of the tar -> its hash, now.
        before: the same in the previous edition; None where there is none.
        reading: the limits of a row, and what checks whether to stop; the defaults where None.

    Raises:
        ValueError: a tar cannot be read, is compressed, or holds no images, or a .json is none; names it.
    """
    reading = reading or ReadContext()
    tars = expand(source.name, source.tars)
    check_local(source.name, tars, TARS)
    unread: Counter[str] = Counter()
    excluded = 0
    for tar in tars:
        try:
            with tar.open() as file:
                contents = _contents(file, source, reading)
                if not contents.images:
                    raise ValueError(f"tar {tar.path!r} of source {source.name!r} holds no images")
                stamp = stamps.get(tar.label, "")
                changed = before is not None and before.get(tar.label, "") != stamp
                for row in _rows(source, tar, contents, file, reading):
                    yield row._replace(stamp=stamp, changed=changed)
        except (OSError, tarfile.TarError) as error:
            raise ValueError(
                f"tar {tar.path!r} of source {source.name!r} cannot be read: {error}; "
                "it must be whole and uncompressed"
            ) from error
        unread.update(contents.others)
        excluded += contents.excluded
    if unread:
        reading.warn(
            f"source {source.name!r}: {unread.total():,} members beside the pictures are not read: "
            f"{counted(unread)}"
        )
    if excluded:
        reading.warn(f"source {source.name!r}: {excluded:,} members are left out by `exclude`")


def _rows(
    source: TarSource, tar: SourceFile, contents: _Contents, file: BinaryIO, reading: ReadContext
) -> Iterator[SourceRow]:
    names = Counter(name for name, _, _ in contents.images)
    sidecars = SidecarIndex(((name, number) for number, (name, _, _) in enumerate(contents.texts)), names)
    for number, (name, offset, length) in enumerate(contents.images):
        reading.check()
        location = f"{Path(tar.path).name}/{name}"
        row_name = f"{source.name}:{tar.label}:{number}"
        beside: SidecarContent | Rejection
        try:
            members = {
                role: contents.texts[place] for role, place in sidecars.of(name, first_dot=True).items()
            }
            if names[name] > 1:
                raise ConflictError(f"{names[name]} members of the tar have this name")
            texts: dict[str, Callable[[int], bytes]] = {
                role: partial(_read, file, member[1], member[2]) for role, member in members.items()
            }
            beside = read_sidecars(texts, source.caption_keys, reading.limits)
            if isinstance(beside, SidecarContent) and beside.is_json_too_long:
                contents.others["too long .json"] += 1
        except ConflictError as error:
            beside = conflict(str(error))
        row = SourceRow(
            uid=uid_of(source.name, location if names[name] == 1 else row_name),
            source=source.name,
            location=location,
            row=row_name,
            captions=[],
            caption_sources=[],
            licence=source.licence,
            columns="{}",
            path=tar.path,
            offset=offset,
            length=length,
        )
        yield with_sidecars(row, beside, reading)
    for number, (name, _, _) in enumerate(contents.texts):
        if number not in sidecars.used:
            contents.others[suffix_of(name)] += 1


def _contents(file: BinaryIO, source: TarSource, reading: ReadContext) -> _Contents:
    contents = _Contents()
    with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="backslashreplace") as archive:
        headers: Any = archive
        for member in archive:
            reading.check()
            headers.members = []  # or it keeps every header that it has read
            if not member.isreg() or member.issparse():
                continue
            suffix = posixpath.splitext(member.name)[1].lower()
            if posixpath.basename(member.name).startswith("."):  # as in folders; macOS leaves "._a.jpg"
                contents.others[suffix_of(member.name)] += 1
            elif is_excluded(member.name, source.exclude):
                contents.excluded += 1
            elif suffix in IMAGE_SUFFIXES:
                contents.images.append((member.name, member.offset_data, member.size))
            elif suffix in ROLES:
                contents.texts.append((member.name, member.offset_data, member.size))
            else:
                contents.others[suffix_of(member.name)] += 1
    return contents


def _read(file: BinaryIO, offset: int, length: int, most: int) -> bytes:
    file.seek(offset)
    return file.read(min(length, most))
