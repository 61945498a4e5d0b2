"""Parts of unfinished runs: no manifest names their files, and they may hold a picture all the same."""

import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq

from stages.artifacts.files import FileEntry
from stages.artifacts.part import read_part
from stages.errors import DamagedError
from stages.registry import REGISTERED
from stages.store import Store

Records = dict[str, Mapping[str, FileEntry]]
"""Key of a part's record -> its files."""


def read_records(store: Store) -> Records:
    """Every part's files. A damaged record is deleted: nobody knows what its files hold; they go with it, and
    the part is made again."""
    records: Records = {}
    for listed in store.list("parts"):
        try:
            records[listed.key] = read_part(store, listed.key).files
        except FileNotFoundError:  # a run that began meanwhile had no more need of it
            continue
        except DamagedError:
            store.delete([listed.key])
    return records


def holding(
    store: Store, records: Records, named: AbstractSet[str], names: AbstractSet[str], *, anonymous: bool
) -> list[str]:
    """Keys of parts that have, or may have, certain pictures in files that belong to no artifact.

    Args:
        store: where they are.
        records: of all parts.
        named: keys of the files of artifacts; a part that has only such is none of these.
        names: what the pictures go by: uids, hashes, URLs, hosts.
        anonymous: count parts too whose files hold pictures and say not whose.
    """
    beginnings = {each.name: each.load_kind().anonymous for each in REGISTERED}
    chosen: list[str] = []
    for key, files in records.items():
        unnamed = {Path(name): entry for name, entry in files.items() if entry.key not in named}
        nameless = beginnings.get(key.split("/")[1], ()) if anonymous else ()
        if any(str(name).startswith(nameless) for name in unnamed) or _says(store, unnamed, names):
            chosen.append(key)
    return chosen


def _says(store: Store, files: Mapping[Path, FileEntry], names: AbstractSet[str]) -> bool:
    """Whether one of a part's files has a picture that goes by one of the names."""
    looks: dict[str, Callable[[Path], Iterable[str]]] = {".tar": _members, ".parquet": _cells}
    if {".tar", ".npy"}.isdisjoint(name.suffix for name in files):
        return False
    with suppress(DamagedError):  # swept away; then nobody takes the part for finished
        for name, entry in files.items():
            look = looks.get(name.suffix)
            if look and not names.isdisjoint(look(store.fetch(entry.key, entry.sha256, entry.size))):
                return True
    return False


def _members(tar: Path) -> Iterator[str]:
    """What the members of a tar are called, without extensions: SHA-256 in collections, uids in datasets."""
    with tarfile.open(tar) as opened:
        for member in opened:
            yield Path(member.name).stem


def _cells(table: Path) -> Iterator[str]:
    """What a part's table calls its pictures: uids, SHA-256, URLs with their hosts and domains above."""
    columns = [name for name in pq.read_schema(table).names if name in ("uid", "key", "sha256", "url")]
    for column in pq.read_table(table, columns=columns).columns:
        for value in filter(None, column.to_pylist()):
            yield value
            if "://" in value:
                host = value.split("/")[2]
                labels = host.split(":")[0].split(".") if host[0] != "[" else [host.rpartition("]")[0] + "]"]
                yield from (".".join(labels[n:]) for n in range(len(labels)))
