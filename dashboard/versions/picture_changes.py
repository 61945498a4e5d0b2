"""Which pictures differ between two versions, written down once for each pair and read page by page.

Versions never change, so what differs between two of them does not either. A table of it, of a million rows
where need be, lies in a temporary folder of this process; the pairs asked for longest ago are forgotten.
"""

import atexit
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from stages.artifacts.artifact import Artifact
from stages.collect.report.diff import Diff, write_changes
from stages.parquet_view import parquet
from stages.registry import kinds

PAIRS = 8
"""Pairs that are remembered."""
PAGE = 48
"""Pictures of a page."""


@dataclass(frozen=True)
class ChangedPicture:
    """A picture that is different; see `stages.collect.report.diff.CHANGES`."""

    uid: str
    change: str
    reason: str
    location: str


@dataclass(frozen=True)
class PictureChanges:
    """What is different between two versions."""

    diff: Diff
    table: Path
    """Parquet, sorted by uid."""

    def page(
        self, change: str = "", reason: str = "", after: str = ""
    ) -> tuple[Sequence[ChangedPicture], str]:
        """Some of the pictures, in the order of uids, and the uid after which the next ones come, "" after
        the last.

        Args:
            change: "added", "removed", "changed" or "captions"; empty: all.
            reason: as the change has it; empty: all.
            after: a uid; empty: from the first.
        """
        query = f"""
            SELECT uid, change, reason, location FROM {parquet(self.table)}
            WHERE uid > ? AND (? = '' OR change = ?) AND (? = '' OR reason = ?)
            ORDER BY uid LIMIT {PAGE + 1}
        """
        with duckdb.connect() as db:
            rows = db.execute(query, [after, change, change, reason, reason]).fetchall()
        changes = [ChangedPicture(*row) for row in rows[:PAGE]]
        return changes, changes[-1].uid if len(rows) > PAGE else ""


def comparable(old: Artifact, new: Artifact) -> bool:
    """Whether pictures can be compared: two collections, or two datasets."""
    kind = kinds().get(new.kind)
    return old.stage == new.stage and kind is not None and (kind.name == "images" or kind.splits)


class ChangesCache:
    """What is different between pairs of versions; safe to use from several threads."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], PictureChanges] = OrderedDict()

    def between(self, old: Artifact, new: Artifact) -> PictureChanges:
        """What is different; of a pair that was not asked for lately it takes a second for a million rows.

        ValueError: they cannot be compared, or the files of one are gone. DamagedError: a table is not what
        was published."""
        pair = (old.fingerprint, new.fingerprint)
        with self._lock:
            if pair not in self._known:
                self._known[pair] = self._compare(old, new)
                while len(self._known) > PAIRS:
                    _, oldest = self._known.popitem(last=False)
                    shutil.rmtree(oldest.table.parent, ignore_errors=True)
            self._known.move_to_end(pair)
            return self._known[pair]

    def _compare(self, old: Artifact, new: Artifact) -> PictureChanges:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="sdflow-changes-"))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        table = folder / "changes.parquet"
        try:
            return PictureChanges(write_changes(old, new, table), table)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
