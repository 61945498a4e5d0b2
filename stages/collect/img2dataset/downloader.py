"""img2dataset's `Downloader`: its thread pool, its bound on what waits in memory, its order of rows.

Its module is executed anew for each call, as an object that no other importer sees, for two reasons:

* As it is imported it brings torch, OpenCV, albumentations (which asks the network for updates) and wandb,
  through its package and its `logger`: 13 s and 400 MB on two cores, for the re-encoding, the reading of
  tables and a logger that are not used here. Executed under this package's name it takes 0.01 s: its one
  relative import is the `logger` beside this file.
* It fetches through a function of its module, which no argument replaces. In an object of our own that
  function can be ours, and nothing of this process changes: neither `urllib.request` nor img2dataset.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from stages.errors import RetryableError

Download = Callable[[str], bytes | None]
"""Key of a row -> the bytes of its picture; None where there are none. Called by many threads."""
Receive = Callable[[str, bytes | None], None]
"""Gets every row's key and what its download gave, one row at a time, in the order of arrival."""

_FETCHES = "download_image_with_retry"
"""The function of img2dataset's module by which its `Downloader` fetches."""


def download_all(
    keys: Sequence[str], download: Download, receive: Receive, *, threads: int, scratch: Path
) -> None:
    """Download rows in threads; bodies stay as they came, and at most twice `threads` wait for `receive`.

    Args:
        keys: of the rows. The `Downloader` is given them for URLs: it knows none that it could fetch itself.
        download: fetches one.
        receive: is called by the calling thread.
        threads: downloads at once.
        scratch: a folder for the list of rows.

    Raises:
        RetryableError: rows got lost. What `download` or `receive` raised, the first of it, once all is over.
    """
    rows = _Rows(download, receive)
    with TemporaryDirectory(dir=scratch) as folder:
        shard = f"{folder}/rows.arrow"
        table = pa.table({"url": pa.array(keys, pa.string())})
        with pa.OSFile(shard, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        downloader = _module(rows.fetch).Downloader(
            sample_writer_class=lambda *_: rows,
            resizer=_as_it_came,
            thread_count=min(threads, len(keys)),
            save_caption=False,
            extract_exif=False,
            output_folder=folder,
            column_list=["url"],
            timeout=None,
            number_sample_per_shard=len(keys),
            oom_shard_count=5,
            compute_hash=None,
            verify_hash_type=None,
            encode_format="jpg",
            retries=0,
            user_agent_token=None,
            disallowed_header_directives=None,
        )
        downloader.download_shard((0, shard))  # not `downloader(...)`, which prints and forgets exceptions
    if rows.failures:
        raise rows.failures[0]
    if lost := len(set(keys) - rows.received):
        raise RetryableError(f"the downloader lost {lost} rows; its output says why")


class _Rows:
    """Both ends of the `Downloader`: the function by which it fetches, and its sample writer."""

    def __init__(self, download: Download, receive: Receive) -> None:
        self._download = download
        self._receive = receive
        self.failures: list[Exception] = []
        self.received: set[str] = set()

    def fetch(self, row: tuple[int, str], **_: object) -> tuple[int, io.BytesIO | None, str | None]:
        number, key = row
        try:
            body = None if self.failures else self._download(key)
        except Exception as error:  # noqa: BLE001 - raised in the end; here it would leave the pool waiting
            self.failures.append(error)
            body = None
        return (number, None, "no picture") if body is None else (number, io.BytesIO(body), None)

    def write(self, body: bytes | None, name: str, caption: None, meta: Mapping[str, Any]) -> None:
        key = str(meta["url"])
        self.received.add(key)
        try:
            if not self.failures:
                self._receive(key, body)
        except Exception as error:  # noqa: BLE001 - raised in the end; the `Downloader` would only print it
            self.failures.append(error)

    def close(self) -> None:
        pass


def _module(fetch: Callable[..., Any]) -> Any:
    package = find_spec("img2dataset")
    assert package is not None, "img2dataset is not installed"
    folders = package.submodule_search_locations
    assert folders, "img2dataset is no package"
    loader = SourceFileLoader(f"{__package__}.theirs", f"{folders[0]}/downloader.py")
    module = module_from_spec(ModuleSpec(loader.name, loader, origin=loader.path))
    loader.exec_module(module)
    assert hasattr(module, _FETCHES), f"img2dataset fetches by another function than {_FETCHES}"
    setattr(module, _FETCHES, fetch)
    return module


def _as_it_came(stream: io.BytesIO, boxes: None) -> tuple[bytes, None, None, None, None, None]:
    """What img2dataset's `Resizer` does with `disable_all_reencoding`.

    Its re-encoding drops EXIF orientation and turns 16-bit greys white.
    """
    return stream.read(), None, None, None, None, None
