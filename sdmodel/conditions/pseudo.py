"""Pseudo-labels: classes that a model told of rows without one, taken from a confidence on (Lee 2013,
"Pseudo-Label")."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from sdmodel.config.conditions import ConditionsConfig
from sdmodel.data.index import Index


def with_pseudo_labels(index: Index, config: ConditionsConfig, tables: Mapping[str, Path]) -> Index:
    """The index with a class of rows that had none, never in the place of one.

    tables: Parquet tables of uid, label and confidence [0, 1], by the column that they are of."""
    columns = dict(index.columns)
    for each in config.columns:
        if each.column not in tables:
            continue
        table = pq.read_table(tables[each.column], columns=["uid", "label", "confidence"]).to_pydict()
        rows = zip(table["uid"], table["label"], table["confidence"], strict=True)
        labels = {uid: label for uid, label, confidence in rows if confidence >= each.pseudo.confidence}
        own = zip(index.uids, columns[each.column], strict=True)
        # Of no tags at all it is known that there are none.
        columns[each.column] = [
            labels.get(uid, value) if value in (None, "") else value for uid, value in own
        ]
    return replace(index, columns=columns)
