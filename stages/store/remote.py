"""An object store, or memory, on obstore: create-only by conditional put, read through a cache."""

import errno
import hashlib
import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from tempfile import gettempdir

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError

from stages.errors import DamagedError, RetryableError
from stages.store.cache import Cache
from stages.store.interface import Listed, stands
from stages.store.private import private_folder

CODE = re.compile(r"<Code>(\w{1,60})</Code>")
"""The code in a server's answer, as S3, Google and Azure write it."""

NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")

CERTIFICATE = re.compile(r"InvalidCertificate\((.*)", re.DOTALL)
"""What the TLS client says of a server's certificate that it does not take."""

FAULTS = {
    "Expired": "it has expired",
    "NotValidYet": "it is not valid yet",
    "NotValidForName": "it is for another name",
    "UnknownIssuer": "nobody whom this machine trusts has signed it",
    "CaUsedAsEndEntity": "it has signed itself",
}
"""A word of the TLS client -> what is wrong with a certificate."""


class RemoteStore:
    """An obstore store: s3://, gs://, az:// or memory://, read through one local cache."""

    def __init__(self, url: str, store: "obstore.store.ObjectStore", cache: Cache | None = None) -> None:
        self.url = url
        self._store = store
        self._cache = cache or Cache.default()

    def create(self, key: str, data: bytes) -> bool:
        try:
            with _translated(self.url, key):
                try:
                    obstore.put(self._store, key, data, mode="create")
                    return True
                except AlreadyExistsError:
                    pass
        except RetryableError:  # no try had an answer; perhaps only the answers were lost
            with suppress(RetryableError, FileNotFoundError):
                return self.read(key) == data
            raise
        # The client asks again where an answer was lost, and is then told of its own record.
        return stands(self, key, data)

    def put(self, key: str, path: Path) -> None:
        size = path.stat().st_size
        with _translated(self.url, key):
            obstore.put(self._store, key, path)
            arrived = obstore.head(self._store, key)["size"]
        if arrived != size:
            raise RetryableError(f"store {self.url} kept {arrived} of {size} bytes of {key}")
        path.unlink()

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with _translated(self.url, key):
            if offset == 0 and length is None:
                return bytes(obstore.get(self._store, key).bytes())
            there = max(0, obstore.head(self._store, key)["size"] - offset) if length is None else length
            if not there:
                return b""
            try:
                return bytes(obstore.get_range(self._store, key, start=offset, length=there))
            except BaseError:
                if obstore.head(self._store, key)["size"] <= offset:
                    return b""
                raise

    def exists(self, key: str) -> bool:
        with _translated(self.url, key):
            try:
                obstore.head(self._store, key)
            except FileNotFoundError:
                return False
        return True

    def sha256(self, key: str) -> str:
        digest = hashlib.sha256()
        for chunk in self._chunks(key):
            digest.update(chunk)
        return digest.hexdigest()

    def list(self, prefix: str) -> Iterator[Listed]:
        with _translated(self.url, prefix):
            objects = [meta for batch in obstore.list(self._store, prefix) for meta in batch]
        for meta in sorted(objects, key=lambda meta: meta["path"]):
            yield Listed(meta["path"], meta["size"], meta["last_modified"])

    def delete(self, keys: Iterable[str]) -> None:
        with _translated(self.url, "several keys"):
            left = iter(keys)
            while batch := list(islice(left, 1000)):
                try:
                    obstore.delete(self._store, batch)
                except FileNotFoundError:  # some servers mind, and leave the rest
                    for key in batch:
                        with suppress(FileNotFoundError):
                            obstore.delete(self._store, key)

    def fetch(self, key: str, sha256: str, size: int) -> Path:
        def download(path: Path) -> None:
            try:
                with path.open("xb") as file:
                    file.writelines(self._chunks(key))
            except FileNotFoundError as error:
                raise DamagedError(f"{self.url}/{key} is missing; restore it from a copy") from error

        return self._cache.get(sha256, size, download, origin=f"{self.url}/{key}")

    def uncache(self, sha256: str) -> None:
        self._cache.drop(sha256)

    def scratch(self) -> Path:
        mine = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        remedy = "set TMPDIR to a folder of your own"
        return private_folder(
            private_folder(Path(gettempdir(), f"sdflow-{os.geteuid()}"), remedy) / mine, remedy
        )

    def _chunks(self, key: str) -> Iterator[bytes]:
        with _translated(self.url, key):
            yield from map(bytes, obstore.get(self._store, key).stream())


@contextmanager
def _translated(url: str, key: str) -> Generator[None]:
    """obstore tries again by itself; what it still raises may pass later, unless somebody must act.

    Its messages go on for pages (the server's answer, its own structures): one line of them is for people.
    """
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        text = str(error)
        words = text.split("\n", 1)[0].split(": <", 1)[0][:300]
        code = CODE.search(text)
        if code and code[1] in NO_BUCKET:
            raise ValueError(
                f"store {url}: there is no such bucket ({code[1]}); create it, or correct the address"
            ) from error
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(errno.ENOENT, "no such object in the store", f"{url}/{key}") from error
        if certificate := CERTIFICATE.search(text):
            fault = next((says for word, says in FAULTS.items() if word in certificate[1]), "it is not valid")
            raise ValueError(
                f"store {url}: the server's certificate is refused, {fault}; check the address and this "
                "machine's clock, or have the machine trust who signed it"
            ) from error
        refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
        # Of listings and deletions, obstore tells the status in words only.
        if refused or any(f"status code: {status}" in words for status in (400, 401, 403, 404)):
            reason = f"{words} ({code[1]})" if code else words
            raise ValueError(
                f"store {url} refuses {key}: {reason}; check the address, the credentials in the "
                "environment, and that they may list, read, write and delete there"
            ) from error
        raise RetryableError(f"store {url} did not answer for {key}: {words}") from error
