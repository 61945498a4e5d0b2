"""Folders of pairs of both worlds."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.demo import captions as one_captions
from stages.demo import pairs
from stages.demo import world as one_world
from stages.demo.two import oracle
from stages.demo.two.captions import TRAINING_PHRASINGS, caption, held_out, parse
from stages.demo.two.world import ATTRIBUTES, TwoGroupAttributes

ROWS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pairs.clean_folder(tmp_path_factory.mktemp("pairs") / "two", ROWS, 3, sides=(48, 64), world="two")


@pytest.fixture(scope="module")
def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metadata.csv")


def test_columns_tell_what_captions_and_pictures_tell(folder: Path, table: pd.DataFrame):
    assert list(table.columns) == ["file_name", "text", *ATTRIBUTES]
    truth = [TwoGroupAttributes(*row) for row in table[list(ATTRIBUTES)].itertuples(index=False)]
    assert [parse(text) for text in table["text"]] == truth
    small: list[np.ndarray] = []
    for name in table["file_name"]:
        with Image.open(folder / name) as image:
            small.append(np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BOX)))
    assert oracle.read_attributes(np.stack(small)).matches(truth)["all"].mean() >= 0.98


def test_of_the_world_of_two_nothing_is_written_that_is_kept_from_training(table: pd.DataFrame):
    described = [parse(text) for text in table["text"]]
    assert not any(held_out(attributes) for attributes in described if attributes)
    phrasings = range(len(TRAINING_PHRASINGS))
    for text, attributes in zip(table["text"], described, strict=True):
        assert attributes
        assert text in {caption(attributes, p, turned) for p in phrasings for turned in (False, True)}
    sides = [side for text in table["text"] for side in ("left", "right", "above", "below") if side in text]
    assert set(sides) == {"left", "right", "above", "below"}


def test_the_same_request_gives_the_same_bytes(folder: Path, tmp_path: Path):
    again = pairs.clean_folder(tmp_path, 10, 3, sides=(48, 64), world="two")
    for path in again.glob("0*"):
        assert path.read_bytes() == (folder / path.name).read_bytes()
    first = (again / "metadata.csv").read_text().splitlines()
    assert first == (folder / "metadata.csv").read_text().splitlines()[:11]


def test_the_one_object_world_tells_its_attributes_too(tmp_path: Path):
    table = pd.read_csv(pairs.clean_folder(tmp_path, 20, 3, sides=(32, 48)) / "metadata.csv")
    assert list(table.columns) == ["file_name", "text", *one_world.ATTRIBUTES]
    truth = [one_world.Attributes(*row) for row in table.iloc[:, 2:].itertuples(index=False)]
    assert [one_captions.parse(text) for text in table["text"]] == truth


def test_a_share_of_the_captions_is_kept_and_is_part_of_a_larger_one(folder: Path, tmp_path: Path):
    whole = pd.read_csv(folder / "metadata.csv").set_index("file_name")["text"]
    captions_of: dict[float, pd.Series] = {}
    for share in (0.3, 0.1, 0.0):
        place = pairs.clean_folder(tmp_path / str(share), ROWS, 3, (48, 64), world="two", captioned=share)
        texts = pd.read_csv(place / "metadata.csv", keep_default_na=False).set_index("file_name")["text"]
        captions_of[share] = texts[texts != ""]
        assert (whole[captions_of[share].index] == captions_of[share]).all()
        assert abs(len(captions_of[share]) / ROWS - share) < 3 * (share * (1 - share) / ROWS) ** 0.5 + 1e-9
    assert set(captions_of[0.1].index) < set(captions_of[0.3].index)


def test_a_share_of_the_rows_keeps_its_attributes_whatever_has_a_text(tmp_path: Path):
    folder = pairs.clean_folder(tmp_path, 200, 3, (48, 64), world="one", captioned=0.5, labelled=0.5)
    table = pd.read_csv(folder / "metadata.csv", keep_default_na=False)
    has_text, labels = table["text"] != "", table[list(one_world.ATTRIBUTES)] != ""
    assert (labels.all(axis=1) == labels.any(axis=1)).all(), "all of them or none"
    counts = pd.crosstab(has_text, labels.all(axis=1)).to_numpy()
    assert counts.min() > 30, "rows of each kind: with both, with either, with nothing"


def test_the_command_line_writes_what_the_function_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    words = [
        str(tmp_path / "cli"),
        "--rows",
        "3",
        "--seed",
        "5",
        "--world",
        "two",
        "--captioned",
        "0.5",
        "--labelled",
        "0.4",
    ]
    monkeypatch.setattr(sys, "argv", ["pairs", *words])
    pairs.main()
    pairs.clean_folder(tmp_path / "function", 3, 5, world="two", captioned=0.5, labelled=0.4)
    for path in (tmp_path / "function").iterdir():
        assert path.read_bytes() == (tmp_path / "cli" / path.name).read_bytes()
