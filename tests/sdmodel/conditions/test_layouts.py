"""What the values of conditions mean: learned from an index, asked for when drawing, refused where
unknown."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from sdmodel.conditions.build import index_columns, layout_of, learn_layouts
from sdmodel.conditions.class_column import ClassLayout
from sdmodel.conditions.conditions import ConditionTable
from sdmodel.conditions.number import NumberLayout
from sdmodel.conditions.picture_size import PictureSizeLayout
from sdmodel.config.conditions import (
    ClassColumnConfig,
    ConditionsConfig,
    NumberColumnConfig,
    PictureSizeConfig,
)
from sdmodel.config.learning import DataConfig
from sdmodel.data.augmentation import draw_augmentations
from sdmodel.data.index import Index, read_index

ALL = ConditionsConfig(
    columns=(ClassColumnConfig(column="colour", guidance=3.0),),
    numbers=(NumberColumnConfig(column="similarity"),),
    size=PictureSizeConfig(on=True),
)
SHAPES = ClassLayout("shape", 2.0, ("circle", "square"), False)
TAGS = ClassLayout("tags", 2.0, ("a, b", "red", "round"), True)
SCORE = NumberLayout("score", 1.0, 0.5, 0.25, 0.0, 1.0)
SIZES = PictureSizeLayout(1.0, 64, 1024, 512)


@pytest.fixture(scope="module")
def index(dataset: Any) -> Index:
    columns = index_columns(ALL, dataset.index)
    return read_index(dataset.index, dataset.tars, "train", columns=columns)


def with_columns(index: Index, **columns: list[Any]) -> Index:
    return dataclasses.replace(index, columns=columns)


def test_layouts_are_learned_from_the_rows_and_read_again(index: Index):
    layouts = learn_layouts(ALL, index)
    assert [layout.name for layout in layouts] == list(ALL.names) == ["size", "similarity", "colour"]
    size, similarity, colour = layouts
    assert size == PictureSizeLayout(1.0, 40, 150, 120)
    numbers = [value for value in index.columns["similarity"] if value is not None]
    assert isinstance(similarity, NumberLayout)
    assert (similarity.least, similarity.most) == (min(numbers), max(numbers))
    assert similarity.mean == pytest.approx(np.mean(numbers))
    assert colour == ClassLayout(
        "colour", 3.0, tuple(sorted({*filter(None, index.columns["colour"])})), False
    )
    assert tuple(layout_of(layout.described()) for layout in layouts) == layouts


def test_a_row_without_a_value_lacks_it(index: Index):
    table = ConditionTable(learn_layouts(ALL, index), index, DataConfig())
    rows = np.arange(len(index))
    still = draw_augmentations(DataConfig(), 0, rows, index.captions)
    values = table(rows, (16, 16), still)
    for name in ("similarity", "colour"):
        assert values[name].present.tolist() == [value is not None for value in index.columns[name]]
    assert values["size"].present.all()
    layout = learn_layouts(ALL, index)[2]
    asked = layout.parse(index.columns["colour"])
    assert torch.equal(asked.values, values["colour"].values)
    assert torch.equal(asked.present, values["colour"].present)


def test_no_tags_at_all_are_known_to_be_none(index: Index):
    tagged = with_columns(index, tags=[["red"], [], None, ["unheard of"], ["round", "red", "red"]])
    values = TAGS.rows(tagged, DataConfig())(np.arange(5), (8, 8), None)  # type: ignore[arg-type]
    assert values.values.tolist() == [[1, -1], [-1, -1], [-1, -1], [-1, -1], [2, 1]]
    assert values.present.tolist() == [True, True, False, False, True]


def test_numbers_may_be_texts(index: Index):
    scores = with_columns(index, score=["0.25", None, "", 1, 0.75])
    layout = NumberLayout.learn(NumberColumnConfig(column="score"), scores)
    assert (layout.least, layout.most) == (0.25, 1.0)
    with pytest.raises(ValueError, match="'good', which is no finite number"):
        NumberLayout.learn(NumberColumnConfig(column="score"), with_columns(index, score=["0.25", "good"]))


@pytest.mark.parametrize(
    ("layout", "given", "values", "present"),
    [
        (SHAPES, ["square", None], [[1], [-1]], [True, False]),
        (TAGS, ["red", "round, red", ["round"], "a, b"], [[1, -1], [2, 1], [2, -1], [0, -1]], [True] * 4),
        (SCORE, ["0.25", 1, None], [[-1.0], [2.0], [0.0]], [True, True, False]),
        (SIZES, ["256x512", 128, (1024, 64)], [[1, 0, 0, 0], [-1, -1, 0, 0], [2, -2, 0, 0]], [True] * 3),
        (SIZES, [None], [[1, 1, 0, 0]], [True]),  # what is drawn unless told otherwise
    ],
)
def test_what_is_asked_for(layout: Any, given: list[Any], values: list[Any], present: list[bool]):
    parsed = layout.parse(given)
    assert parsed.values.tolist() == values
    assert parsed.present.tolist() == present


@pytest.mark.parametrize(
    ("layout", "value", "message"),
    [
        (SHAPES, "sqare", "'shape' has no class 'sqare'; it knows 'square' and 1 more"),
        (SHAPES, "sphere of influence", "it knows 'circle', 'square'"),
        (SHAPES, ["circle", "square"], "takes one class a picture"),
        (TAGS, "red,heavy", "no class 'heavy'"),
        (SCORE, 1.01, "from 0 to 1, as pictures had that were learned from, not '1.01'"),
        (SCORE, "nan", "not 'nan'"),
        (SCORE, "much", "not 'much'"),
        (SIZES, "2048x512", "of sides from 64 to 1024 pixels"),
        (SIZES, "big", "512x384, width by height"),
        (SIZES, (64, 64, 64), "not '.64, 64, 64.'"),
    ],
)
def test_what_is_unknown_is_refused_with_what_is_known(layout: Any, value: Any, message: str):
    with pytest.raises(ValueError, match=message):
        layout.parse([value])


def test_what_is_cut_off_is_a_share_of_each_side(index: Index):
    """A picture of 400 x 100, height by width, that is seen as a square loses 3/4 of its height."""
    sizes = {"original_height": [400] * 3, "original_width": [100] * 3}
    plain = draw_augmentations(DataConfig(), 0, np.arange(3), [[]] * 3)
    at = np.arange(3)

    def values(data: DataConfig, **changes: Any) -> list[list[float]]:
        rows = SIZES.rows(with_columns(index, **sizes), data)
        return rows(at, (8, 8), dataclasses.replace(plain, **changes)).values.tolist()

    height, width = np.log2(400 / 256), np.log2(100 / 256)
    for row in values(DataConfig()):
        assert row == pytest.approx([height, width, 4 * 0.375, 0])
    # With a margin, 8/9 of what is left is seen: 2/9 of the height, 8/9 of the width.
    corners = np.array([[0.0, 0.0], [0.5, 1.0], [0.0, 1.0]])
    mirror = np.array([False, False, True])
    first, second, mirrored = values(DataConfig(crop=True), crop=corners, mirror=mirror)
    assert first == pytest.approx([height, width, 4 * 0.375, 0])
    assert second == pytest.approx([height, width, 4 * (0.375 + 0.5 * (0.25 - 2 / 9)), 4 / 9], abs=1e-6)
    assert mirrored == pytest.approx([height, width, 4 * 0.375, 0], abs=1e-6)


def test_columns_that_the_index_lacks_are_named(dataset: Any, index: Index):
    lacking = ConditionsConfig(columns=(ClassColumnConfig(column="shape"),))
    with pytest.raises(ValueError, match=r"no 'shape'; there are captions, checksum, colour.*shard.columns"):
        index_columns(lacking, dataset.index)
    empty = with_columns(index, shape=[None, ""])
    with pytest.raises(ValueError, match="no picture to learn from has a value in 'shape'"):
        learn_layouts(lacking, empty)
    with pytest.raises(ValueError, match="'shape' holds int; classes are texts"):
        learn_layouts(lacking, with_columns(index, shape=[1, 2]))
    with pytest.raises(ValueError, match="only 3 in 'score'"):
        NumberLayout.learn(NumberColumnConfig(column="score"), with_columns(index, score=[3.0, None, 3]))
    with pytest.raises(ValueError, match="drawn=4096: sides of the pictures to learn from are 40 to 150"):
        PictureSizeLayout.learn(PictureSizeConfig(on=True, drawn=4096), index)
