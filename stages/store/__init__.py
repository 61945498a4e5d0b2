"""Where artifacts live: one interface over a local folder, memory, and object storage.

Every store publishes alike. Bytes go under keys that no other attempt uses; what makes them count is a small
record put create-only (`Store.create`), of which one of many racers wins. Local folders do this with fsync
and link, the others through obstore's conditional put.
"""

import os
import uuid
from datetime import timedelta
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import MemoryStore, from_url

from stages.errors import DiskError, NoSpaceError, RetryableError
from stages.redaction import redact_url
from stages.store.cache import Cache
from stages.store.folder import FolderStore
from stages.store.format import check_format
from stages.store.interface import Listed, Store
from stages.store.read_only import ReadOnlyStore
from stages.store.records import NumberedLog, read_record
from stages.store.remote import RemoteStore

__all__ = [
    "Cache",
    "FolderStore",
    "Listed",
    "NumberedLog",
    "ReadOnlyStore",
    "RemoteStore",
    "Store",
    "open_store",
    "read_record",
]

_ALLOWED = "use a folder, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or memory://NAME"
_MEMORY: dict[str, MemoryStore] = {}  # memory://NAME is one store for the whole process


def open_store(url: str, *, writable: bool = True, cache: Cache | None = None) -> Store:
    """The store at a URL or local path.

    Args:
        url: a folder, file://, memory://NAME, s3://bucket/prefix, gs://bucket/prefix or
            az://container/prefix. Credentials, region and endpoint come from the environment, as for each
        provider's own tools. writable: create it where it is a missing folder, and prove that it can be
            written and that it honours create-only puts. False opens for reading, proves nothing, and lets
            nothing be changed.
        cache: of remote files; the process's default where None.

    Raises:
        ValueError: the scheme is unknown, the folder is missing or not writable, the server ignores
            conditional puts (then two runs could both believe that they published), or the store is of
            another format.
        DamagedError: the record of the store's format cannot be read.
    """
    scheme, separator, rest = url.partition("://")
    store: Store
    if separator and redact_url(url) != url:
        raise ValueError(
            f"store {redact_url(url)!r} was given with a user name, password or query; leave them out: "
            "credentials come from the environment, as for the provider's own tools"
        )
    if not url or (separator and not rest and scheme != "memory"):
        raise ValueError(f"store {url!r} names no place; {_ALLOWED}")
    if not separator or scheme == "file":
        store = FolderStore(Path(rest if separator else url).expanduser().resolve(), make=writable)
    elif scheme == "memory":
        store = RemoteStore(url, _MEMORY.setdefault(rest, MemoryStore()), cache)
    elif scheme in ("s3", "gs", "az"):
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
        try:
            remote = from_url(
                url,
                client_options={"allow_http": endpoint.startswith("http://")},
                retry_config={"max_retries": 8, "retry_timeout": timedelta(seconds=60)},
            )
        except BaseError as error:
            words = str(error).split("\n", 1)[0]
            raise ValueError(f"store {url!r} cannot be opened: {words}; {_ALLOWED}") from error
        store = RemoteStore(url, remote, cache)
    else:
        raise ValueError(f"unknown store {url!r}; {_ALLOWED}")
    if writable:
        _prove(store)
    check_format(store, writable=writable)
    return store if writable else ReadOnlyStore(store)


def _prove(store: Store) -> None:
    key = f"probe/{uuid.uuid4().hex}"
    try:
        first, second = store.create(key, b"1"), store.create(key, b"2")
    except (OSError, RetryableError, NoSpaceError, DiskError) as error:
        raise ValueError(
            f"store {store.url} cannot be written: {error}; check its permissions, space and credentials"
        ) from error
    if not first or second:
        raise ValueError(
            f"store {store.url} ignores create-only puts (If-None-Match), so publishing there is not safe; "
            "use a server that honours them (AWS S3, MinIO, GCS and Azure do)"
        )
    store.delete([key])
