"""Conditions by kind, and those that a config asks for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sdmodel.conditions import class_column, number, picture, picture_size
from sdmodel.conditions.class_column import ClassLayout
from sdmodel.conditions.interface import ConditionLayout
from sdmodel.conditions.number import NumberLayout
from sdmodel.conditions.picture import PictureLayout
from sdmodel.conditions.picture_size import ORIGINAL, PictureSizeLayout
from sdmodel.config.conditions import ConditionsConfig
from sdmodel.data.index import SIZES, Index
from sdmodel.features.encoder import ENCODER, load_image_encoder


def index_columns(config: ConditionsConfig, index: Path) -> tuple[str, ...]:
    """Columns of the index table at `index` that the conditions read. ValueError: it lacks one."""
    named = tuple(each.column for each in (*config.numbers, *config.columns))
    if not config.names:
        return ()
    available = pq.read_schema(index).names
    if missing := [name for name in named if name not in available]:
        raise ValueError(
            f"conditions: the dataset's index has no {', '.join(map(repr, missing))}; there are "
            f"{', '.join(sorted(available))} (shard.columns brings columns of the sources)"
        )
    if not config.size.on:
        return named
    if set(ORIGINAL) <= set(available):
        return (*ORIGINAL, *named)
    if set(SIZES) <= set(available):
        return named
    raise ValueError(
        f"conditions.size: the dataset's index has neither {' and '.join(ORIGINAL)} nor "
        f"{' and '.join(SIZES)}; make the dataset anew, or set conditions.size.on to false"
    )


def learn_layouts(config: ConditionsConfig, index: Index) -> tuple[ConditionLayout, ...]:
    """What the values of all conditions mean, from the rows to learn from, in the order in which guidance
    adds them. ValueError: of one there is nothing to learn."""
    size = (PictureSizeLayout.learn(config.size, index),) if config.size.on else ()
    numbers = (NumberLayout.learn(each, index) for each in config.numbers)
    return (*size, *numbers, *(ClassLayout.learn(each, index) for each in config.columns))


def unlearned_layouts(config: ConditionsConfig) -> tuple[ConditionLayout, ...]:
    """As `learn_layouts` where nothing is known of the rows: with one class a column, to count what a step
    costs."""
    size = (PictureSizeLayout(1.0, 1, 1, 1),) if config.size.on else ()
    numbers = (NumberLayout(each.column, 1.0, 0.0, 1.0, 0.0, 1.0) for each in config.numbers)
    return (*size, *numbers, *(ClassLayout(each.column, 1.0, ("",), False) for each in config.columns))


def start_layouts(folder: Path, config: ConditionsConfig, index: Index) -> tuple[ConditionLayout, ...]:
    """What the values of all conditions mean to the model in a folder that a training starts from, with
    guidance as the config has it; learned from the rows where that model has none. What it cannot be started
    with its objective says.

    ValueError: of a condition there is nothing to learn, or rows are of classes that the model does not know.
    """
    mine, file = learn_layouts(config, index), folder / "config.json"
    settings = json.loads(file.read_text()).get("model") if file.exists() else None
    raw = settings.get("conditions", []) if isinstance(settings, dict) else []
    theirs = {each["name"]: layout_of(each) for each in raw if each["kind"] != picture.KIND}
    chosen: list[ConditionLayout] = []
    for layout in mine:
        known = theirs.get(layout.name, layout)
        new: list[str] = []
        if isinstance(layout, ClassLayout) and isinstance(known, ClassLayout):
            new = sorted(set(layout.classes) - set(known.classes))
        if new:
            raise ValueError(
                f"{folder}: its model does not know {new[:5]} of condition {layout.name!r}, {len(new)} "
                "classes in all; train one anew, or leave these rows out"
            )
        chosen.append(replace(known, guidance=layout.guidance))  # type: ignore[type-var] - each is a dataclass
    return tuple(chosen)


def layout_of(raw: Mapping[str, Any]) -> ConditionLayout:
    """What a layout's `described` wrote. ValueError: it is of a kind that is not known."""
    match raw.get("kind"):
        case class_column.KIND:
            return ClassLayout.read(dict(raw))
        case number.KIND:
            return NumberLayout.read(dict(raw))
        case picture_size.KIND:
            return PictureSizeLayout.read(dict(raw))
        case kind:
            raise ValueError(f"a condition of kind {kind!r} is not known")


def read_layouts(raw: Sequence[Mapping[str, Any]], folder: Path) -> tuple[ConditionLayout, ...]:
    """All that the model folder at `folder` names. ValueError: one is of a kind that is not known, or lacks
    its encoder."""
    return tuple(
        PictureLayout.read(dict(each), load_image_encoder(folder / ENCODER))
        if each.get("kind") == picture.KIND
        else layout_of(each)
        for each in raw
    )
