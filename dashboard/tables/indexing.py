"""Indexing: the index of tables is brought up to date in a thread of its own, and pages wait a while for it.

A large store takes minutes the first time. Nobody's request does that work: each waits for it for some
seconds at most, so that the server's threads stay free for pages that need no index.
"""

import math
import threading
import time
from concurrent.futures import Future

from dashboard.catalogue import Contents
from dashboard.tables.index import TableIndex


class IndexUnfinishedError(Exception):
    """The index does not know all of the store yet; says how far it is."""


class Indexing:
    """Brings one index up to date; safe to use from several threads."""

    def __init__(self, index: TableIndex) -> None:
        self.index = index
        self._lock = threading.Lock()
        self._work: Future[None] | None = None
        self._began = 0.0

    def wait(self, contents: Contents, seconds: float) -> None:
        """Have the index know what a store holds.

        Args:
            contents: of the store.
            seconds: to wait for that at most; it goes on afterwards.

        Raises:
            IndexUnfinishedError: it took longer.
            ValueError: the index has no folder that it can use.
            OSError: there is no room for it.
        """
        until = time.monotonic() + seconds
        while self.index.version != contents.version:
            work = self._working(contents)
            try:
                work.result(None if math.isinf(seconds) else max(0.0, until - time.monotonic()))
            except TimeoutError:
                if work.done():  # it is the store's own
                    raise
                done, total = self.index.progress
                spent = time.monotonic() - self._began
                raise IndexUnfinishedError(
                    f"The index of tables is being made: {done:,} of {total:,} results in {spent:,.0f} s."
                ) from None

    def _working(self, contents: Contents) -> "Future[None]":
        """The work that goes on now, perhaps for other contents, or one that begins."""
        with self._lock:
            if self._work is None or self._work.done():
                self._work, self._began = Future(), time.monotonic()
                threading.Thread(
                    target=self._update, args=(contents, self._work), name="index of tables", daemon=True
                ).start()
            return self._work

    def _update(self, contents: Contents, work: "Future[None]") -> None:
        try:
            self.index.update(contents)
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it
            work.set_exception(error)
        else:
            work.set_result(None)
