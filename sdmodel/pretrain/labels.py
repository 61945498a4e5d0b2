"""Labels of rows: a table of them, and the classification heads that predict them.

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

from sdmodel.pretrain.predictions import Predictions
from sdmodel.transfer import sent


@dataclass(frozen=True)
class Column:
    """The classes of a column of labels."""

    classes: tuple[str, ...]
    """Classes, or tags, sorted."""
    tags: bool
    """Whether a row may have any number of them."""


@dataclass(frozen=True)
class ColumnLabels:
    """The labels that a column gives to rows."""

    of: Mapping[str, tuple[int, ...]]
    """uid to places in `Column.classes`; of a row without a label nothing."""
    taught: float
    """Share of the rows to learn from whose labels teach, [0, 1]."""
    labelled: float
    """Share of the table's rows that have a label, [0, 1]."""


NOTHING = ColumnLabels({}, 0.0, 0.0)
"""Of a column that a table lacks."""


class Labels:
    """A table of labels, as far as they are used."""

    def __init__(
        self, columns: Mapping[str, Column], rows: Mapping[str, ColumnLabels], labelled: float = 1.0
    ):
        """labelled: share of the rows whose labels teach."""
        self.columns, self.rows, self.labelled = columns, rows, labelled

    @classmethod
    def read(
        cls,
        path: Path,
        names: Sequence[str],
        labelled: float = 1.0,
        known: Mapping[str, Column] | None = None,
        rows: Collection[str] | None = None,
        block: str = "pretrain",
    ) -> "Labels":
        """From a Parquet table with `uid` and these columns of strings or lists of strings.

        known: columns that were learned, of which classes count alone; the table need not have any of it.
            None takes what is there.
        rows: uids to learn from; None: all of the table.
        block: of the config that names the columns, for messages.
        ValueError: a column is missing, holds something else, or fewer than 2 classes; or none of the rows
        that teach has a label in it."""
        schema = pq.read_schema(path)
        if known:
            names = [name for name in names if name in schema.names]
        if missing := [name for name in ("uid", *names) if name not in schema.names]:
            raise ValueError(
                f"{block}.columns: the table of labels has no {', '.join(missing)}; there are "
                f"{', '.join(schema.names)} (shard.columns brings columns of the sources)"
            )
        table = pq.read_table(path, columns=["uid", *names])
        uids: list[str] = table.column("uid").to_pylist()
        learned = set(uids if rows is None else rows)
        columns: dict[str, Column] = {}
        of_rows: dict[str, ColumnLabels] = {}
        for name in names:
            values = _values(table.column(name), f"{block}.columns: {name!r}")
            tags = pa.types.is_list(schema.field(name).type)
            column = (
                known[name]
                if known
                else Column(tuple(sorted({c for own in values if own for c in own})), tags)
            )
            if len(column.classes) < 2 - tags:
                raise ValueError(
                    f"{block}.columns: {name!r} has {len(column.classes)} different values, of which "
                    "nothing can be learned; leave it out"
                )
            columns[name] = column
            of_rows[name] = _column_labels(uids, values, column, labelled, learned)
            if not of_rows[name].taught and not known:
                there = sum(uid in learned for uid in of_rows[name].of)
                raise ValueError(
                    f"{block}.columns: no row of the {labelled:.0%} that {block}.labelled chooses has a "
                    f"label in {name!r} ({there} of {len(learned)} rows to learn from have one); raise it, "
                    "leave the column out, or name a table of this dataset"
                )
        return cls(known or columns, of_rows, labelled)

    def constant(self, name: str) -> Tensor:
        """The best constant prediction (majority class): () int64, the commonest class, or (C,) float32, the
        tags that most labelled rows have."""
        column, rows = self.columns[name], self.rows.get(name, NOTHING).of
        counts = torch.zeros(len(column.classes))
        for place, count in Counter(place for places in rows.values() for place in places).items():
            counts[place] = count
        return (counts * 2 > len(rows)).float() if column.tags else counts.argmax()

    def of(self, name: str, uids: Sequence[str], every: bool) -> tuple[Tensor, Tensor]:
        """The column's labels of rows: truth (B, 1) int64 or (B, 1, C) float32, and where it has any
        (B, 1) bool.

        every: all labels, not those alone that teach."""
        column = self.columns[name]
        rows = self.rows.get(name, NOTHING).of
        labels = [rows.get(uid) if every or label_teaches(uid, self.labelled) else None for uid in uids]
        known = torch.tensor([[own is not None] for own in labels])
        if not column.tags:
            return torch.tensor([[own[0] if own else 0] for own in labels]), known
        truth = torch.zeros(len(uids), 1, len(column.classes))
        for row, own in zip(truth, labels, strict=True):
            row[0, list(own or ())] = 1
        return truth, known


class LabelHeads(nn.Module):
    """A linear classifier for each column, on the pooled state."""

    adamw_layers = ("layers",)

    def __init__(self, width: int, labels: Labels):
        super().__init__()
        self.labels = labels
        self.layers = nn.ModuleDict(
            {_key(name): nn.Linear(width, len(column.classes)) for name, column in labels.columns.items()}
        )
        self.guesses = [labels.constant(name) for name in labels.columns]

    def forward(self, pooled: Tensor, uids: Sequence[str], every: bool) -> list[Predictions]:
        """Predictions for each column, of one place, from pooled (B, D); see `Labels.of`."""
        predictions: list[Predictions] = []
        for name, guess in zip(self.labels.columns, self.guesses, strict=True):
            truth, known = (sent(tensor, pooled.device) for tensor in self.labels.of(name, uids, every))
            logits = self.layers[_key(name)](pooled)[:, None].float()  # (B, 1, C)
            there = torch.ones_like(known)
            predictions.append(Predictions(logits, truth, there, known, sent(guess, pooled.device)))
        return predictions

    def shares(self, every: bool) -> list[float]:
        """Of all rows, those with a label (that teaches) for each column: a mean over a batch's rows divided
        by it is the mean over labelled rows, however the batch is shared out and taken in parts."""
        columns = [self.labels.rows.get(name, NOTHING) for name in self.labels.columns]
        return [(column.labelled if every else column.taught) or 1.0 for column in columns]


def _key(column: str) -> str:
    """The name of a column's weights: modules' names have no dots, and some words are taken."""
    return "column " + column.replace("%", "%25").replace(".", "%2E")


def label_teaches(uid: str, labelled: float) -> bool:
    """Whether the row is among the `labelled` share whose labels are used: by its name, so always the same,
    and more of them are those and others."""
    return labelled >= 1 or int(hashlib.sha256(uid.encode()).hexdigest()[:12], 16) < labelled * 16**12


def _values(column: pa.ChunkedArray, words: str) -> list[tuple[str, ...] | None]:
    kind: Any = column.type
    tags = pa.types.is_list(kind)
    if not pa.types.is_string(kind.value_type if tags else kind):
        raise ValueError(f"{words} holds {kind}; classes are strings, tags are lists of strings")
    rows: Iterable[Any] = column.to_pylist()
    if tags:
        return [None if row is None else tuple(tag for tag in row if tag is not None) for row in rows]
    return [None if row is None else (row,) for row in rows]


def _column_labels(
    uids: list[str],
    values: list[tuple[str, ...] | None],
    column: Column,
    labelled: float,
    learned: Collection[str],
) -> ColumnLabels:
    place = {name: number for number, name in enumerate(column.classes)}
    of: dict[str, tuple[int, ...]] = {}
    for uid, row in zip(uids, values, strict=True):
        if row is not None and (column.tags or row[0] in place):
            of[uid] = tuple(sorted({place[name] for name in row if name in place}))
    teaching = sum(uid in learned and label_teaches(uid, labelled) for uid in of)
    return ColumnLabels(of, teaching / max(1, len(learned)), len(of) / max(1, len(uids)))
