"""How much of a source is taken in at a time, and how much a row may hold: bytes, not rows, bound memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from stages.config.collect import CollectConfig
from stages.reasons import Reason

BATCH_BYTES = 4_000_000
"""Of text after which a batch of rows ends. JSON takes up to 25 times its bytes once it is parsed."""
BATCH_ROWS = 10_000


def never_cancelled() -> None:
    """The check of work that nobody cancels."""


def _ignore(_: str) -> None:
    pass


@dataclass(frozen=True)
class Rejection:
    """Why a row is rejected as it stands."""

    reason: Reason
    rule: str
    """The config that decided, "max_cell_bytes=1000000"; "" where none did."""
    detail: str


@dataclass(frozen=True, kw_only=True)
class RowLimits:
    """The limits of a row: bytes of a cell and of all cells, characters of a caption."""

    cell_bytes: int = CollectConfig.max_cell_bytes
    row_bytes: int = CollectConfig.max_row_bytes
    caption_chars: int = CollectConfig.max_caption_chars

    @classmethod
    def of(cls, config: CollectConfig) -> "RowLimits":
        """The limits that a collection sets."""
        return cls(
            cell_bytes=config.max_cell_bytes,
            row_bytes=config.max_row_bytes,
            caption_chars=config.max_caption_chars,
        )

    def long_cell(self, name: str, where: str) -> Rejection:
        """The rejection of a cell that is longer than `cell_bytes`; `where` is as "line 3"."""
        rule = f"max_cell_bytes={self.cell_bytes}"
        return Rejection(Reason.CELL_TOO_LONG, rule, f"{where}: {name[:80]!r} is longer")

    def long_row(self, where: str) -> Rejection:
        """The rejection of a row that is longer than `row_bytes`."""
        return Rejection(Reason.ROW_TOO_LONG, f"max_row_bytes={self.row_bytes}", f"{where} is longer")

    def of_captions(self, captions: Iterable[str], where: str) -> Rejection | None:
        """The rejection of a row one of whose captions is too long; None where none is."""
        for caption in captions:
            if len(caption) > self.caption_chars:
                rule = f"max_caption_chars={self.caption_chars}"
                return Rejection(
                    Reason.CELL_TOO_LONG, rule, f"{where}: a caption has {len(caption):,} characters"
                )
        return None

    def long_cells(self, cells: Sequence[Any]) -> list[int]:
        """The places of the cells that are longer than `cell_bytes`."""
        short = self.cell_bytes // 4  # characters that fit however many bytes each takes
        return [
            place
            for place, cell in enumerate(cells)
            if cell is not None
            and not (type(cell) is str and len(cell) <= short)
            and bytes_of(cell, self.cell_bytes) > self.cell_bytes
        ]


@dataclass(frozen=True, kw_only=True)
class ReadContext:
    """The context in which sources are read: the limits of a row, cancellation, and where warnings go."""

    limits: RowLimits = field(default_factory=RowLimits)
    check: Callable[[], None] = never_cancelled
    """Called often; raises where the work shall stop."""
    warn: Callable[[str], None] = _ignore
    """Takes a sentence on what is left out, for people."""


def bytes_of(value: Any, enough: int) -> int:
    """About the bytes of a cell's value; texts count as UTF-8. Counting ends soon above `enough`."""
    if isinstance(value, str):
        return len(value) if len(value) > enough or value.isascii() else len(value.encode("utf-8", "replace"))
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        parts: Iterable[Any] = cast("dict[Any, Any]", value).items()
    elif isinstance(value, list | tuple):
        parts = cast("Sequence[Any]", value)
    else:
        return 8
    total = 0
    for part in parts:
        total += bytes_of(part, enough - total)
        if total > enough:
            break
    return total
