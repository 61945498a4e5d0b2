"""Pseudo-labels: classes that a model told of rows without one, taken from a confidence on (Lee 2013,
"Pseudo-Label")."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from sdmodel.config.conditions import ConditionsConfig
from sdmodel.data.index import Index

FEW = 0.5
"""Share of a table's rows that are trained on, below which it seems to be of other pictures."""


def with_pseudo_labels(index: Index, config: ConditionsConfig, tables: Mapping[str, Path]) -> Index:
    """The index with a class of rows that had none, never in the place of one.

    tables: Parquet tables of uid, label and confidence [0, 1], by the column that they are of.

    ValueError: a table has rows and none is of the index: it is another dataset's."""
    columns = dict(index.columns)
    for each in config.columns:
        if each.column not in tables:
            continue
        table = pq.read_table(tables[each.column], columns=["uid", "label", "confidence"]).to_pydict()
        rows = zip(table["uid"], table["label"], table["confidence"], strict=True)
        if table["uid"] and set(table["uid"]).isdisjoint(index.uids):
            raise ValueError(
                f"conditions.columns: none of the {len(table['uid'])} pictures of "
                f"pseudo.labels={each.pseudo.labels!r} is in the train split: it is of another dataset; "
                f"make a table of this one by `sdflow label --column {each.column}`, or leave it out"
            )
        labels = {uid: label for uid, label, confidence in rows if confidence >= each.pseudo.confidence}
        own = zip(index.uids, columns[each.column], strict=True)
        # Of no tags at all it is known that there are none.
        columns[each.column] = [
            labels.get(uid, value) if value in (None, "") else value for uid, value in own
        ]
    return replace(index, columns=columns)


def pseudo_warnings(index: Index, config: ConditionsConfig, tables: Mapping[str, Path]) -> list[str]:
    """Of each table that few rows are of the index: how many. index, tables: as for `with_pseudo_labels`."""
    warnings: list[str] = []
    there = set(index.uids)
    for each in config.columns:
        if each.column not in tables:
            continue
        uids: list[str] = pq.read_table(tables[each.column], columns=["uid"]).column("uid").to_pylist()
        matching = sum(uid in there for uid in uids)
        if matching < FEW * len(uids):
            warnings.append(
                f"pseudo.labels={each.pseudo.labels!r} of column {each.column!r}: {matching} of its "
                f"{len(uids)} pictures are trained on; `sdflow label` makes a table of this dataset"
            )
    return warnings
