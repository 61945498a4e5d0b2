"""Files that belong to a picture by their names: its captions, what is known of it, its class.

A sidecar's role is its suffix, in whatever case: .txt and .caption are a caption each, .json an object with
captions under some keys and whatever else is known, .cls a class.
"""

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, cast

from stages.collect.sources.json_lines import json_of
from stages.collect.sources.limits import ReadContext, Rejection, RowLimits
from stages.collect.sources.rows import SourceRow, captions_of, columns_of, rejected, rejection_of, text_of
from stages.reasons import Reason

ROLES = {".txt": "txt", ".caption": ".caption", ".json": "json", ".cls": "cls"}
"""Suffix -> role; the first two are also the words by which their captions' source is known."""
LICENCE_KEYS = ("licence", "license")
_WORDS = re.compile(r"(?:\.[A-Za-z][A-Za-z0-9_-]*)*")
"""Between key and suffix where WebDataset's first dot is meant: "a.seg.png", not "IMG_22.05.14.jpg"."""


class ConflictError(Exception):
    """Two files claim the same role for a picture."""


@dataclass(frozen=True)
class SidecarContent:
    """The content of the files beside a picture: captions, licence and whatever else is known of it."""

    captions: list[str] = field(default_factory=list[str])
    sources: list[str] = field(default_factory=list[str])
    """The file or the key that each caption came from."""
    licence: str = ""
    columns: dict[str, Any] = field(default_factory=dict[str, Any])
    is_json_too_long: bool = False
    """There is a .json that was not read."""


class SidecarIndex:
    """An index of which files belong to which picture.

    A text belongs to the picture with the whole of its name before the suffix ("a.b.txt" to "a.b.jpg"), or
    with the whole name ("a.b.jpg.txt"). Where none does, and only names in words stand between, the part
    before the first dot decides, as in WebDataset: "a.json" belongs to "a.seg.png", and "a.prompt.txt" to
    "a.jpg"; "IMG_22.txt" does not belong to "IMG_22.05.14.jpg".
    """

    def __init__(self, files: Iterable[tuple[str, int]], images: Iterable[str]) -> None:
        """Index files by the names that they share with pictures.

        Args:
            files: name and number of each; a name can come twice.
            images: names of the pictures.
        """
        self._exact: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._worded: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
        self._stems = {_stem(name) for name in images}
        self.used: set[int] = set()
        """Numbers of the files that were assigned to a picture."""
        for name, number in files:
            stem, role = _stem(name), ROLES[posixpath.splitext(name)[1].lower()]
            self._exact[stem, role].append(number)
            if (key := _key(name)) not in ("", stem):
                self._worded[key, role].append((stem, number))

    def of(self, image: str, *, first_dot: bool) -> dict[str, int]:
        """Role -> number of the file that has it for a picture.

        Args:
            image: the picture's name.
            first_dot: WebDataset's rule may decide.

        Raises:
            ConflictError: several files have equal claims to one role; says which.
        """
        stem, key = _stem(image), _key(image)
        beside: dict[str, int] = {}
        for role in ROLES.values():
            claims = self._exact.get((image, role)) or self._exact.get((stem, role)) or []
            if not claims and first_dot and key and key != stem:
                claims = self._exact.get((key, role), [])
            if not claims and first_dot and key == stem:
                worded = self._worded.get((key, role), [])
                claims = [number for other, number in worded if other not in self._stems]
            if len(claims) > 1:
                raise ConflictError(f"{len(claims)} files claim to be its {role.lstrip('.')}")
            if claims:
                beside[role] = claims[0]
                self.used.add(claims[0])
        return beside


def read_sidecars(
    texts: Mapping[str, Callable[[int], bytes]], keys: Sequence[str], limits: RowLimits
) -> SidecarContent | Rejection:
    """The content of the files beside a picture, or why its row is rejected.

    Args:
        texts: role -> what reads so many bytes of the file, or fewer where it ends.
        keys: of a .json under which captions stand, each a text or a list of texts; the rest is passed on.
        limits: a .json that is longer is not read; a caption that is longer refuses the row, and so does a
            .json that is none.
    """
    limit = limits.cell_bytes
    data = {role: read(limit + 1) for role, read in texts.items()}
    for role in ("txt", ".caption"):
        if len(data.get(role, b"")) > limit:
            return limits.long_cell(role, "beside it")
    known: dict[str, Any] = {}
    is_json_too_long = len(data.get("json", b"")) > limit
    if "json" in data and not is_json_too_long:
        try:
            value = json_of(data["json"])
        except ValueError as error:
            return Rejection(Reason.BAD_SIDECAR, "", f"its .json is none: {error}; `exclude` leaves it out")
        known = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    columns = {name: value for name, value in known.items() if name not in keys}
    if "cls" in data:
        columns["cls"] = _class(data["cls"][:1000])
    names = ("txt", ".caption", *keys)
    plain = [_text(data.get(role, b"")) for role in ("txt", ".caption")]
    captions, sources = captions_of(names, [*plain, *(known.get(key) for key in keys)])
    seen: set[str] = set()
    first = [not (text.strip() in seen or seen.add(text.strip())) for text in captions]
    licence = next((text_of(value) for name, value in columns.items() if name.lower() in LICENCE_KEYS), "")
    return SidecarContent(
        [text for text, is_first in zip(captions, first, strict=True) if is_first],
        [source for source, is_first in zip(sources, first, strict=True) if is_first],
        licence.strip(),
        columns,
        is_json_too_long,
    )


def conflict(words: str) -> Rejection:
    """The rejection of a picture whose files contradict each other."""
    return Rejection(Reason.CONFLICTING_FILES, "", words)


def is_excluded(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of some glob patterns means a file, by its path or by its own name."""
    base = posixpath.basename(name)
    return any(fnmatchcase(name, pattern) or fnmatchcase(base, pattern) for pattern in patterns)


def with_sidecars(row: SourceRow, beside: SidecarContent | Rejection, reading: ReadContext) -> SourceRow:
    """A row with what the files beside its picture say, refused where they say too much."""
    if isinstance(beside, Rejection):
        return rejected(row, beside)
    columns = columns_of(beside.columns)
    if rejection := rejection_of(beside.captions, columns, "beside it", reading):
        return rejected(row, rejection)
    return row._replace(
        captions=beside.captions,
        caption_sources=beside.sources,
        licence=beside.licence or row.licence,
        columns=columns,
    )


def suffix_of(name: str) -> str:
    """By what a file that is not read is counted."""
    return posixpath.splitext(name)[1].lower()[:20] or "without a suffix"


def counted(suffixes: Counter[str]) -> str:
    """Files by suffix in words, the most first: "2 .xmp, 1 .npy"."""
    # As Python spells them: a suffix may hold anything.
    shown = ", ".join(f"{count:,} {ascii(suffix)[1:-1]}" for suffix, count in suffixes.most_common(6))
    return shown + (" and others" if len(suffixes) > 6 else "")


def _stem(name: str) -> str:
    return posixpath.splitext(name.removeprefix("./"))[0]


def _key(name: str) -> str:
    """WebDataset's key, where its first dot is meant; else ""."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    key, dot, rest = base.partition(".")
    between = posixpath.splitext(dot + rest)[0] if "." in rest else ""
    return f"{folder}{slash}{key}" if _WORDS.fullmatch(between) else ""


def _text(data: bytes) -> str:
    """What a text file says; what is no UTF-8 is replaced."""
    return data.decode("utf-8-sig", "replace").strip()


def _class(data: bytes) -> int | str:
    text = _text(data)
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else text
