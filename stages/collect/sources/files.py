"""Which files a source means, what to call them, and what they are: the snapshot."""

import hashlib
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from stages.artifacts.artifact import Snapshot
from stages.collect.sources.limits import never_cancelled
from stages.collect.sources.protocols import check_protocol
from stages.config.collect import CollectConfig
from stages.fingerprint import fingerprint_of
from stages.redaction import redact_error, redact_url
from stages.regular_file import NotRegularFileError, kind_of, open_regular

TARS = "tars"
_PIECE = 1 << 20
PARQUETS = "Parquet files with pictures"
"""What must lie on this machine, in errors' words."""
_VALIDATORS = ("ETag", "etag", "Content-MD5", "Digest", "Last-Modified")
"""What file systems call that by which other content of a remote file is known, the surest first."""


@dataclass(frozen=True)
class SourceFile:
    """A file of a source: its label, unique within the source and alike on every machine, and where it is.

    The label is without what a URL has behind "?", such as a signature; the path has it, so errors must not.
    """

    label: str
    system: AbstractFileSystem
    path: str

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine's file system."""
        return "file" in _protocols(self.system)

    def open(self) -> Any:
        """The file, for reading bytes; one on this machine must be a regular file."""
        return open_regular(Path(self.path)) if self.is_local else self.system.open(self.path, "rb")


def expand(source: str, patterns: Sequence[str]) -> list[SourceFile]:
    """The files that paths, fsspec URLs and globs mean, each once, sorted by path.

    Raises:
        ValueError: one of them means no file, or its file system is none that is read, names the source and
            the pattern.
    """
    systems: dict[tuple[str, str], AbstractFileSystem] = {}  # (path, protocol)
    for pattern in patterns:
        check_protocol(source, pattern)
        _check_regular(source, pattern)
        try:
            system, path = url_to_fs(pattern)
            system.invalidate_cache()  # of listings from an earlier look, in a process that lives on
            paths = [path] if system.isfile(path) else system.glob(path) if has_magic(path) else []
        except (OSError, ImportError, ValueError) as error:
            redact_error(error)
            raise ValueError(
                f"source {source!r}: {redact_url(pattern)!r} cannot be opened: {error}"
            ) from error
        if not paths:
            raise ValueError(
                f"source {source!r}: there is no file {redact_url(pattern)!r}; check the path or the pattern"
            )
        systems.update(((str(path), _protocols(system)[0]), system) for path in paths)
    # By what they are called: a signature that is renewed must not change the order.
    keys = sorted(systems, key=lambda key: (_without_secrets(*key), key))
    labels = _labels([_without_secrets(*key) for key in keys])
    if len(set(labels)) < len(labels):  # one path on two file systems
        labels = [f"{protocol}:{label}" for label, (_, protocol) in zip(labels, keys, strict=True)]
    if len(set(labels)) < len(labels):
        raise ValueError(
            f"source {source!r}: several tables are called {max(labels, key=labels.count)!r} and differ in "
            "user name or query alone; make them sources of their own"
        )
    return [SourceFile(label, systems[key], key[0]) for key, label in zip(keys, labels, strict=True)]


def _check_regular(source: str, pattern: str) -> None:
    """ValueError where a path, or what a chain like zip://a.csv::b.zip opens, is a FIFO, a device or so."""
    for link in pattern.split("::"):
        protocol, there, path = link.rpartition("://")
        if there and protocol not in ("file", "local"):
            continue
        try:
            kind = kind_of(Path(path))
        except OSError:
            continue  # a pattern, or nothing
        if kind:
            raise ValueError(f"source {source!r}: {link!r} is {kind}, no regular file; give a file")


def files_below(
    source: str, folder: str, passed_over: Callable[[str, str], None] | None = None
) -> dict[str, Path]:
    """Path below the folder (POSIX) -> local path of every regular file in it, sorted, hidden ones left out.

    Symbolic links are followed to files inside the folder only.

    Args:
        source: named in errors.
        folder: where to look.
        passed_over: takes the path of whatever else has a name there, and what that is: "a FIFO", "a link
            that leads out of the folder or nowhere". Folders are not told.

    Raises:
        ValueError: the folder is none, or a name is no text.
    """
    check_folder(source, folder)
    root = Path(folder)
    inside: dict[str, Path] = {}
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if name.startswith("."):
                continue
            location = path.relative_to(root).as_posix()
            if other := _other(path, root):
                if passed_over is not None:
                    passed_over(location, other)
                continue
            try:
                location.encode()
            except UnicodeEncodeError:
                raise ValueError(
                    f"source {source!r}: the name of {location!a} is no UTF-8; rename it"
                ) from None
            inside[location] = path
    return dict(sorted(inside.items()))


def _other(path: Path, root: Path) -> str:
    """What a path is where it is no regular file inside the folder; "" where it is one."""
    try:
        outside = path.is_symlink() and not is_inside(path, root)
        return "a link that leads out of the folder" if outside else kind_of(path)
    except OSError:
        return "a link that leads nowhere"


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path, with all its links followed, lies in a folder."""
    return path.resolve().is_relative_to(root.resolve())


def snapshot(config: CollectConfig, check: Callable[[], None] = never_cancelled) -> Snapshot:
    """What the sources of a collection are now: each file's size and SHA-256, or etag where it is remote.

    It is an input of `collect`: with a table's bytes its fingerprint changes.

    Args:
        config: of the collection.
        check: called often; raises where the work shall stop.

    Raises:
        ValueError: sources that are not there, not named apart, or none at all.
    """
    check_sources(config)
    contents: dict[str, dict[str, dict[str, Any]]] = {}
    for source in config.urls:
        contents[source.name] = _stamps(expand(source.name, source.tables), check)
    for name, patterns, what in (
        *((source.name, source.tars, TARS) for source in config.tars),
        *((source.name, source.tables, PARQUETS) for source in config.parquets),
    ):
        files = expand(name, patterns)
        check_local(name, files, what)
        contents[name] = _stamps(files, check)
    for source in config.folders:
        paths = files_below(source.name, source.folder)
        contents[source.name] = {label: _stamp(path, check) for label, path in paths.items()}
    return Snapshot(fingerprint_of(contents), contents)


def stamps_of(contents: Any, source: str) -> Mapping[str, str]:
    """Label -> hash or etag of each file of a source, from a snapshot's contents; empty if it isn't there."""
    return {
        label: str(stamp.get("sha256") or stamp.get("etag") or "")
        for label, stamp in ((contents or {}).get(source) or {}).items()
    }


def check_folder(source: str, folder: str) -> None:
    """ValueError unless a source's folder is there."""
    if not Path(folder).is_dir():
        raise ValueError(f"source {source!r}: there is no folder {folder!r}; check the path")


def check_sources(config: CollectConfig) -> None:
    """ValueError unless there is a source."""
    if not (config.urls or config.folders or config.tars or config.parquets):
        raise ValueError("collect has no source: give it at least one of urls, folders, tars and parquets")


def check_local(source: str, files: Iterable[SourceFile], what: str) -> None:
    """ValueError if a file is on another machine, or two have one name: pictures are called by it.

    Args:
        source: named in the error.
        files: its files.
        what: they are: `TARS` or `PARQUETS`.
    """
    seen: dict[str, str] = {}
    for file in files:
        name = Path(file.path).name
        if not file.is_local:
            raise ValueError(
                f"source {source!r}: {file.path!r} is not on this machine; copy {what} to a local folder"
            )
        if name in seen:
            raise ValueError(
                f"source {source!r}: {seen[name]!r} and {file.path!r} share a name; make them two sources"
            )
        seen[name] = file.path


def _without_secrets(path: str, protocol: str) -> str:
    """A path without user name, password and query, where it is no local one."""
    if protocol in ("file", "local"):
        return path
    before, mark, query = redact_url(path).partition("?")
    # "?" is a character like others in keys of buckets, unless options follow.
    return before if mark and ("://" in before or "=" in query) else path


def _stamps(files: Iterable[SourceFile], check: Callable[[], None]) -> dict[str, dict[str, Any]]:
    stamps: dict[str, dict[str, Any]] = {}
    for file in files:
        if file.is_local:
            stamps[file.label] = _stamp(Path(file.path), check)
            continue
        facts = file.system.info(file.path)
        etag = next((facts[key] for key in _VALIDATORS if facts.get(key)), "")
        if not etag and "?" not in file.path:  # a signature would change it
            etag = file.system.ukey(file.path)
        stamps[file.label] = {"size": facts.get("size"), "etag": str(etag)}
    return stamps


def _stamp(path: Path, check: Callable[[], None]) -> dict[str, Any]:
    try:
        with open_regular(path) as file:
            digest = hashlib.sha256()
            while data := file.read(_PIECE):
                check()
                digest.update(data)
            return {"size": os.fstat(file.fileno()).st_size, "sha256": digest.hexdigest()}
    except NotRegularFileError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; name files alone") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; check its permissions") from error


def _labels(paths: Sequence[str]) -> list[str]:
    names = [path.rsplit("/", 1)[-1] for path in paths]
    if len(set(names)) == len(names):
        return names
    rooted = ["/" + path.lstrip("/") for path in paths]  # those of buckets begin with their names
    common = os.path.commonpath([posixpath.dirname(path) for path in rooted])
    return [path[len(common) :].lstrip("/") for path in rooted]


def _protocols(system: AbstractFileSystem) -> tuple[str, ...]:
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
