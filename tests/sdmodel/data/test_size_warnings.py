"""Warnings of sets that are too small for what shall learn from them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdmodel.config.learning import DataConfig, LoraConfig, ValidationConfig
from sdmodel.config.text import PretrainConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.index import Index
from sdmodel.data.size_warnings import LARGE, WordFrequencies, size_warnings

CONFIG = TrainConfig(images=6000, size=32)
SMALL = 900_000
"""Parameters of the demo's model, about."""


def of(captions: Sequence[Sequence[str]]) -> Index:
    rows = len(captions)
    return Index(
        uids=[str(row) for row in range(rows)],
        files=[Path("a.tar")] * rows,
        offsets=np.zeros(rows, np.int64),
        lengths=np.zeros(rows, np.int64),
        checksums=np.zeros(rows, np.uint32),
        captions=[list(one) for one in captions],
    )


def shapes(rows: int) -> Index:
    """Captions of three words, of which "a" is in all and tells nothing."""
    colours, forms = ("red", "green", "blue", "white"), ("circle", "square", "star")
    return of([[f"a {colours[row % 4]} {forms[row % 3]}"] for row in range(rows)])


def test_it_is_quiet_where_there_is_enough():
    assert size_warnings(shapes(6000), replace(CONFIG, images=140_000), SMALL) == []


def test_a_model_that_can_keep_every_picture():
    few, many = size_warnings(shapes(292), CONFIG, SMALL), size_warnings(shapes(293), CONFIG, SMALL)
    assert many == []  # 293 * 3 * 32 * 32 is above 900,000
    assert len(few) == 1
    assert "292 pictures of 32 pixels have 897,024 numbers" in few[0]
    assert "900,000 parameters" in few[0]
    assert all(key in few[0] for key in ("train.start", "train.unet.channels", "train.data.augment=0.12"))


def test_parameters_count_where_pictures_are_given_back_and_they_are_known():
    assert size_warnings(shapes(200), CONFIG) == []
    assert size_warnings(shapes(200), replace(CONFIG, objective="contrastive"), SMALL) == []
    found = size_warnings(shapes(200), replace(CONFIG, objective="autoencoder"), SMALL)
    assert "train.autoencoder.channels" in found[0]
    assert "augment" not in found[0]


def test_what_is_done_already_is_not_advised():
    started = replace(CONFIG, start="models/other", data=DataConfig(flip=True, crop=True, colour=0.1))
    found = size_warnings(shapes(200), started, SMALL)
    assert "train.lora.rank" in found[0]
    assert not any(key in found[0] for key in ("train.start", "channels", "data.flip", "data.crop"))
    whole = replace(
        started, data=DataConfig(flip=True, crop=True, colour=0.1, augment=0.1), lora=LoraConfig(rank=4)
    )
    assert all(
        words.endswith(".") for words in size_warnings(shapes(60), replace(whole, images=10**5), SMALL)
    )


def test_a_training_that_sees_each_picture_too_often():
    assert size_warnings(shapes(100), replace(CONFIG, images=10_000)) == []
    found = size_warnings(shapes(100), replace(CONFIG, images=25_000))
    assert len(found) == 1
    assert "Each of 100 pictures is seen 250 times" in found[0]
    assert "train.images=10000" in found[0]
    assert "patience" in found[0]
    patient = replace(CONFIG, images=25_000, validation=ValidationConfig(every=100, patience=2))
    assert "patience" not in size_warnings(shapes(100), patient)[0]


def test_words_that_few_pictures_have():
    found = size_warnings(of([[f"bird{row // 3}", "one of my birds"] for row in range(90)]), CONFIG)
    assert len(found) == 1
    assert "occurs in 3 of 90 pictures (median); 100% of the different words, 100% of what" in found[0]
    assert "train.text.start" in found[0]
    assert size_warnings(of([[""]] * 90), CONFIG) == []
    wordless = replace(CONFIG, objective="selfsupervised")
    assert size_warnings(of([[f"bird{row}"] for row in range(90)]), wordless) == []


@pytest.mark.parametrize("rare", [0.2, 0.3])
def test_rare_words_count_by_how_much_they_say(rare: float):
    rows = 400
    captions = [[f"{row}" if row < rare * rows else ("cat", "dog")[row % 2]] for row in range(rows)]
    assert bool(size_warnings(of(captions), CONFIG)) == (rare > 0.25)


def test_words_of_scripts_without_spaces_are_their_characters():
    found = WordFrequencies.of([["赤い猫"], ["青い猫"], ["青い犬"], ["Ein Hund, l'été"], ["x"]])
    assert found == WordFrequencies.of([["赤 い 猫"], ["青 い 猫"], ["青 い 犬"], ["ein HUND l'été"], ["X"]])


captions = st.lists(st.lists(st.text("ab c", max_size=6), min_size=1, max_size=2), min_size=1, max_size=12)


@given(captions)
def test_words_are_counted_by_pictures(given_captions: list[list[str]]):
    words = WordFrequencies.of(given_captions)
    assert 0 <= words.rare <= words.rare_kinds <= 1
    assert 0 <= words.median <= len(given_captions) / 2
    assert WordFrequencies.of([[one, one] for each in given_captions for one in [" ".join(each)]]) == words


def test_large_sets_are_not_counted():
    index = of([])
    object.__setattr__(index, "uids", range(LARGE))
    assert size_warnings(index, replace(CONFIG, images=10**9), 10**12) == []


def test_few_labels():
    config = replace(
        CONFIG,
        objective="text",
        images=1000,
        pretrain=PretrainConfig(contrastive=0.0, labels=1.0, columns=("shape",), labelled=0.1),
    )
    (found,) = size_warnings(shapes(600), config)
    assert found.startswith("At most 60 labels teach: 10% of 600 pictures. ")
    assert "train.pretrain.labelled=1" in found
    assert "train.pretrain.contrastive=1" in found
    assert size_warnings(shapes(600), replace(config, pretrain=replace(config.pretrain, labelled=0.2))) == []


def test_what_cannot_be_named_is_not_advised():
    rare = of([[f"bird{row // 3}", "one of my birds"] for row in range(90)])
    assert "train.text.start" in size_warnings(rare, CONFIG)[0]
    for config in (
        replace(CONFIG, text=replace(CONFIG.text, start="models/one")),
        replace(CONFIG, objective="contrastive"),
    ):
        assert "train.text.start" not in size_warnings(rare, config)[0]
