"""Labels of rows: a table of them, and the heads that say them.

A column of texts holds classes, one of which a row has; a column of lists holds tags, any number of which it
has. A row may have none of either (null): then it teaches that head nothing.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from sdmodel.pretrain.predictions import Answer
from sdmodel.transfer import sent


@dataclass(frozen=True)
class Column:
    """What a column of labels can say."""

    classes: tuple[str, ...]
    """Classes, or tags, sorted."""
    tags: bool
    """Whether a row may have any number of them."""


@dataclass(frozen=True)
class Held:
    """What a column says of rows."""

    of: Mapping[str, tuple[int, ...]]
    """uid to places in `Column.classes`; of a row without a label nothing."""
    taught: float
    """Share of the rows to learn from whose labels teach, [0, 1]."""
    told: float
    """Share of the table's rows that have a label."""


NOTHING = Held({}, 0.0, 0.0)
"""Of a column that a table lacks."""


class Labels:
    """A table of labels, as far as they are used."""

    def __init__(self, columns: Mapping[str, Column], held: Mapping[str, Held], labelled: float = 1.0):
        """labelled: share of the rows whose labels teach."""
        self.columns, self.held, self.labelled = columns, held, labelled

    @classmethod
    def read(
        cls,
        path: Path,
        names: Sequence[str],
        labelled: float = 1.0,
        known: Mapping[str, Column] | None = None,
        rows: Collection[str] | None = None,
    ) -> "Labels":
        """From a Parquet table with `uid` and these columns of strings or lists of strings.

        known: columns that were learned, of which classes count alone; the table need not have any of it.
            None takes what is there.
        rows: uids to learn from; None: all of the table.
        ValueError: a column is missing, holds something else, or fewer than 2 classes; or none of the rows
        that teach has a label in it."""
        found = pq.read_schema(path)
        if known:
            names = [name for name in names if name in found.names]
        if missing := [name for name in ("uid", *names) if name not in found.names]:
            raise ValueError(
                f"pretrain.columns: the table of labels has no {', '.join(missing)}; there are "
                f"{', '.join(found.names)} (shard.columns brings columns of the sources)"
            )
        table = pq.read_table(path, columns=["uid", *names])
        uids: list[str] = table.column("uid").to_pylist()
        learned = set(uids if rows is None else rows)
        columns: dict[str, Column] = {}
        held: dict[str, Held] = {}
        for name in names:
            said = _said(table.column(name), name)
            tags = pa.types.is_list(found.field(name).type)
            column = known[name] if known else Column(tuple(sorted({c for s in said if s for c in s})), tags)
            if len(column.classes) < 2 - tags:
                raise ValueError(
                    f"pretrain.columns: {name!r} has {len(column.classes)} different values, of which "
                    "nothing can be learned; leave it out"
                )
            columns[name], held[name] = column, _held(uids, said, column, labelled, learned)
            if not held[name].taught and not known:
                there = sum(uid in learned for uid in held[name].of)
                raise ValueError(
                    f"pretrain.columns: no row of the {labelled:.0%} that pretrain.labelled chooses has a "
                    f"label in {name!r} ({there} of {len(learned)} rows to learn from have one); raise it, "
                    "leave the column out, or name a table of this dataset"
                )
        return cls(known or columns, held, labelled)

    def guess(self, name: str) -> Tensor:
        """The best guess without looking: () int64, the commonest class, or (C,) float32, the tags that most
        labelled rows have."""
        column, rows = self.columns[name], self.held.get(name, NOTHING).of
        counts = torch.zeros(len(column.classes))
        for place, count in Counter(place for places in rows.values() for place in places).items():
            counts[place] = count
        return (counts * 2 > len(rows)).float() if column.tags else counts.argmax()

    def of(self, name: str, uids: Sequence[str], every: bool) -> tuple[Tensor, Tensor]:
        """What the column says of rows: truth (B, 1) int64 or (B, 1, C) float32, and where it says anything
        (B, 1) bool.

        every: all labels, not those alone that teach."""
        column = self.columns[name]
        rows = self.held.get(name, NOTHING).of
        said = [rows.get(uid) if every or teaches(uid, self.labelled) else None for uid in uids]
        known = torch.tensor([[one is not None] for one in said])
        if not column.tags:
            return torch.tensor([[one[0] if one else 0] for one in said]), known
        truth = torch.zeros(len(uids), 1, len(column.classes))
        for row, one in zip(truth, said, strict=True):
            row[0, list(one or ())] = 1
        return truth, known


class LabelHeads(nn.Module):
    """A linear classifier for each column, on the pooled state."""

    def __init__(self, width: int, labels: Labels):
        super().__init__()
        self.labels = labels
        self.layers = nn.ModuleDict(
            {_key(name): nn.Linear(width, len(one.classes)) for name, one in labels.columns.items()}
        )
        self.guesses = [labels.guess(name) for name in labels.columns]

    def forward(self, pooled: Tensor, uids: Sequence[str], every: bool) -> list[Answer]:
        """An answer for each column, of one place, from pooled (B, D); see `Labels.of`."""
        answers: list[Answer] = []
        for name, guess in zip(self.labels.columns, self.guesses, strict=True):
            truth, known = (sent(one, pooled.device) for one in self.labels.of(name, uids, every))
            logits = self.layers[_key(name)](pooled)[:, None].float()  # (B, 1, C)
            there = torch.ones_like(known)
            answers.append(Answer(logits, truth, there, known, sent(guess, pooled.device)))
        return answers

    def shares(self, every: bool) -> list[float]:
        """Of all rows, those with a label (that teaches) for each column: a mean over a batch's rows divided
        by it is the mean over labelled rows, however the batch is shared out and taken in parts."""
        held = [self.labels.held.get(name, NOTHING) for name in self.labels.columns]
        return [(one.told if every else one.taught) or 1.0 for one in held]


def _key(column: str) -> str:
    """The name of a column's weights: modules' names have no dots, and some words are taken."""
    return "column " + column.replace("%", "%25").replace(".", "%2E")


def teaches(uid: str, labelled: float) -> bool:
    """Whether the row is among the `labelled` share whose labels are used: by its name, so always the same,
    and more of them are those and others."""
    return labelled >= 1 or int(hashlib.sha256(uid.encode()).hexdigest()[:12], 16) < labelled * 16**12


def _said(column: pa.ChunkedArray, name: str) -> list[tuple[str, ...] | None]:
    kind: Any = column.type
    tags = pa.types.is_list(kind)
    if not pa.types.is_string(kind.value_type if tags else kind):
        raise ValueError(
            f"pretrain.columns: {name!r} holds {kind}; classes are strings, tags are lists of strings"
        )
    rows: Iterable[Any] = column.to_pylist()
    if tags:
        return [None if row is None else tuple(one for one in row if one is not None) for row in rows]
    return [None if row is None else (row,) for row in rows]


def _held(
    uids: list[str],
    said: list[tuple[str, ...] | None],
    column: Column,
    labelled: float,
    learned: Collection[str],
) -> Held:
    place = {one: number for number, one in enumerate(column.classes)}
    of: dict[str, tuple[int, ...]] = {}
    for uid, row in zip(uids, said, strict=True):
        if row is not None and (column.tags or row[0] in place):
            of[uid] = tuple(sorted({place[one] for one in row if one in place}))
    teaching = sum(uid in learned and teaches(uid, labelled) for uid in of)
    return Held(of, teaching / max(1, len(learned)), len(of) / max(1, len(uids)))
