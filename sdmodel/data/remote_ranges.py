"""Byte ranges of tars in object storage (S3, GCS, Azure): no tar is downloaded as a whole."""

import functools
import os
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

SCHEMES = ("s3", "gs", "az", "file")


class RemoteRanges:
    """An `OpenRange` whose names are URLs; threads may share it.

    Credentials, region and endpoint come from the environment, as for each provider's own tools. What fails
    for a moment is retried. OSError: an object cannot be read."""

    def __init__(self) -> None:
        self._store = functools.cache(_store)

    def __call__(self, name: str, offset: int, length: int) -> bytes:
        parts = urlsplit(name)
        try:
            store = self._store(f"{parts.scheme}://{parts.netloc}")
            return bytes(obstore.get_range(store, parts.path.lstrip("/"), start=offset, length=length))
        except (BaseError, OSError) as error:  # what is not there is an OSError
            words = str(error).split("\n", 1)[0]
            raise OSError(f"{name}: bytes {offset} to {offset + length} cannot be read: {words}") from error


def is_remote(name: str) -> bool:
    """Whether a tar's name is an URL that `RemoteRanges` reads."""
    return name.partition("://")[0] in SCHEMES and "://" in name


def _store(url: str) -> Any:
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
    retry: Any = {"max_retries": 8, "retry_timeout": timedelta(seconds=60)}
    if url.startswith("file://"):
        return from_url("file:///")
    return from_url(url, client_options={"allow_http": endpoint.startswith("http://")}, retry_config=retry)
