"""What a model is told of a picture beside its caption, from the picture's own row."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

Given = tuple[tuple[str, Any], ...]
"""(name, value) of each condition that a row has and the model knows."""


def own_conditions(rows: pd.DataFrame, known: Sequence[Mapping[str, Any]]) -> list[Given]:
    """Of each row of a dataset's index its classes, tags and numbers, as far as the model learned them; the
    size that a picture came in is left at what is drawn by default.

    known: "conditions" of the model folder's config.json."""
    conditions = [each for each in known if each["name"] in rows.columns]
    columns = [rows[each["name"]].tolist() for each in conditions]
    values = zip(*columns, strict=True) if columns else ((),) * len(rows)
    return [
        tuple(
            (str(each["name"]), value)
            for each, raw in zip(conditions, row, strict=True)
            if (value := _known(each, raw)) is not None
        )
        for row in values
    ]


def as_lists(rows: Sequence[Given]) -> dict[str, list[Any]]:
    """Values by condition, None for a row without one, as `TextToImage.sample` takes them."""
    names = dict.fromkeys(name for row in rows for name, _ in row)
    return {name: [dict(row).get(name) for row in rows] for name in names}


def _known(condition: Mapping[str, Any], value: Any) -> Any:
    """The value where the model knows it, else None; tags as a tuple."""
    match condition["kind"]:
        case "class" if isinstance(value, str):
            return value if value in condition["classes"] else None
        case "class" if condition["tags"] and value is not None and not isinstance(value, float):
            tags = tuple(tag for tag in value if tag in condition["classes"])
            return tags if tags or not len(value) else None
        case "number" if value is not None:
            try:
                number = float(value)
            except ValueError:
                return None
            return number if condition["least"] <= number <= condition["most"] else None
        case _:
            return None
