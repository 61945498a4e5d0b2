"""WebDataset tars: image members with a .txt or .json beside them."""

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.collect.files import TARS, Found, check_local, expand
from stages.collect.folders import IMAGE_SUFFIXES
from stages.collect.json_lines import json_of
from stages.collect.rows import Row, captions_of, columns_of
from stages.config import TarSource
from stages.record import uid_of


def tar_rows(source: TarSource, stamps: Mapping[str, str], before: Mapping[str, str] | None) -> Iterator[Row]:
    """Every image member of a source's tars; what else a sample holds is not read.

    Members of one sample share their name up to the first dot. Its captions are its .txt, the whole of it,
    and the "caption" of its .json, a text or a list of texts, where that says another; the rest of the .json
    is passed through, as the URL that img2dataset writes there.

    Args:
        source: which tars, plain ones.
        stamps: label of the tar -> its hash, now.
        before: the same in the previous edition; None where there is none.

    Raises:
        ValueError: a tar cannot be read, is compressed, or holds no images; names it.
    """
    found = expand(source.name, source.tars)
    check_local(source.name, found, TARS)
    for tar in found:
        try:
            members, texts = _contents(tar)
        except (OSError, tarfile.TarError) as error:
            raise ValueError(
                f"tar {tar.path!r} of source {source.name!r} cannot be read: {error}; "
                "it must be whole and uncompressed"
            ) from error
        if not members:
            raise ValueError(f"tar {tar.path!r} of source {source.name!r} holds no images")
        stamp = stamps.get(tar.label, "")
        for number, (name, offset, length) in enumerate(members):
            captions, caption_sources, columns = _told(texts.get(_sample(name), {}), tar.path, name)
            location = f"{Path(tar.path).name}/{name}"
            yield Row(
                uid=uid_of(source.name, location),
                source=source.name,
                location=location,
                row=f"{source.name}:{tar.label}:{number}",
                captions=captions,
                caption_sources=caption_sources,
                licence=source.licence,
                columns=columns,
                path=tar.path,
                offset=offset,
                length=length,
                stamp=stamp,
                changed=before is not None and before.get(tar.label, "") != stamp,
            )


def _contents(tar: Found) -> tuple[list[tuple[str, int, int]], dict[str, dict[str, bytes]]]:
    """Image members (name, offset, length) in order; sample -> {"txt" or "json": its bytes}."""
    members: list[tuple[str, int, int]] = []
    texts: dict[str, dict[str, bytes]] = {}
    with tarfile.open(tar.path, "r:", encoding="utf-8", errors="backslashreplace") as archive:
        for member in archive:
            if not member.isreg() or member.issparse():
                continue
            suffix = Path(member.name).suffix.lower()
            if suffix in IMAGE_SUFFIXES:
                members.append((member.name, member.offset_data, member.size))
            elif suffix in (".txt", ".json") and member.size < 1_000_000:
                file = archive.extractfile(member)
                assert file is not None
                texts.setdefault(_sample(member.name), {})[suffix[1:]] = file.read()
    return members, texts


def _sample(name: str) -> str:
    folder, _, base = name.rpartition("/")
    return f"{folder}/{base.split('.', 1)[0]}"


def _told(texts: Mapping[str, bytes], path: str, name: str) -> tuple[list[str], list[str], str]:
    """Captions of a sample, the file that each came from, and the columns passed through."""
    told: dict[str, Any] = {}
    if "json" in texts:
        try:
            value = json_of(texts["json"])
        except ValueError as error:
            raise ValueError(f"tar {path!r}: the .json beside {name!r} is no JSON: {error}") from None
        told = value if isinstance(value, dict) else {}
    text = texts.get("txt", b"").decode("utf-8-sig", "replace").strip()
    captions, sources = captions_of(["txt", "caption"], [text, told.pop("caption", None)])
    if text:
        others = [place for place, caption in enumerate(captions) if not place or caption.strip() != text]
        captions, sources = [captions[place] for place in others], [sources[place] for place in others]
    return captions, sources, columns_of(told)
