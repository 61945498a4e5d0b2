"""What lies in a folder of pictures and is not read: counted, and reported as warnings."""

from collections import Counter
from collections.abc import Iterable, Sequence

from stages.collect.sources.limits import ReadContext
from stages.collect.sources.sidecars import counted, suffix_of
from stages.config.collect import FolderSource

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".json")
"""What a metadata file under another name may be called."""
_NAMED = 3
"""Files that are named; of more only the number is reported."""


class UnreadFiles:
    """The files of a folder that no row was made of, and that no row takes anything from."""

    def __init__(self, source: FolderSource, reading: ReadContext) -> None:
        self._source = source
        self._reading = reading
        self.seen: set[str] = set()
        """Locations that rows have, and files that were read."""
        self.long_json = 0
        """Files beside pictures that were too long to be read."""

    def report_odd(self, files: Sequence[str], excluded: int) -> None:
        """Warn of what is no file of the folder ("'x' is a FIFO"), and how many files `exclude` means."""
        if files:
            shown = ", ".join(files[:_NAMED])
            more = f" and {len(files) - _NAMED:,} more" if len(files) > _NAMED else ""
            self._warn(f"passed over, for they are no files of the folder: {shown}{more}")
        if excluded:
            self._warn(f"{excluded:,} files are left out by `exclude`")

    def report_unread(self, images: Iterable[str], others: Iterable[str]) -> None:
        """Warn which pictures no metadata file names, and what else was not read.

        Args:
            images: locations of all pictures.
            others: of all other files.
        """
        if unnamed := [name for name in images if name not in self.seen]:
            self._warn(
                f"{len(unnamed):,} pictures, {unnamed[0]!r} among them, are in no metadata file: left out"
            )
        if self.long_json:
            limit = self._reading.limits.cell_bytes
            self._warn(f"{self.long_json:,} .json are longer than max_cell_bytes={limit} and not read")
        rest = [name for name in others if name not in self.seen]
        likely = [name for name in rest if suffix_of(name) in _TABLES][:_NAMED]
        for name in likely:
            self._warn(
                f"{name!r} may say something of the pictures and is not read; if so, name it in the source's "
                "`metadata`, and its columns in `file_column` and `caption_column`"
            )
        if suffixes := Counter(suffix_of(name) for name in rest if name not in likely):
            self._warn(f"{suffixes.total():,} files beside the pictures are not read: {counted(suffixes)}")

    def _warn(self, words: str) -> None:
        self._reading.warn(f"source {self._source.name!r}: {words}")
