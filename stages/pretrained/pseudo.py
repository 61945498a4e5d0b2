"""Pseudo-labels that a training takes where pictures have no label: tables that label made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import resolve
from stages.store import Store

TABLE = "labels.parquet"
LABELS = pa.schema([("uid", pa.string()), ("label", pa.string()), ("confidence", pa.float32())])
"""`labels.parquet` of label: a row for each picture of the train split that has no class."""


def pseudo_inputs(store: Store, config: TrainConfig) -> tuple[Artifact, ...]:
    """Tables that `pseudo.labels` of the conditions' columns name, as an input of train.

    ValueError: one is no such table, or of another column."""
    tables: list[Artifact] = []
    for column in config.conditions.columns:
        if not (name := column.pseudo.labels):
            continue
        key = f"train.conditions.columns: pseudo.labels={name!r}"
        try:
            table = resolve(store, name)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
        if TABLE not in table.files:
            raise ValueError(f"{key} is no table of labels but of {table.stage}; `sdflow label` makes one")
        if (labelled := table.statistics["column"]) != column.column:
            raise ValueError(f"{key} has labels of {labelled!r}, not of {column.column!r}")
        tables.append(table)
    return tuple(tables)


def pseudo_tables(tables: Sequence[Artifact], config: TrainConfig) -> Mapping[str, Path]:
    """Where each lies, by its column. tables: `pseudo_inputs(store, config)`."""
    named = [column.column for column in config.conditions.columns if column.pseudo.labels]
    return {name: table.path(TABLE) for name, table in zip(named, tables, strict=True)}
