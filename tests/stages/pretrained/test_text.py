"""What text encoders start from, as inputs of a training."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.text import build
from stages.artifacts.artifact import Artifact
from stages.pretrained.text import labels_input, text_folders, text_inputs
from stages.store import Store, open_store
from stages.train.train import train
from tests.stages import worlds
from tests.stages.pretrained.filed import filed

TEXT = TextConfig(width=8, heads=2, queries=2, length=8, vocabulary=300)
WORDS = ["a red hat", "two blue cats"] * 2


def starting(*starts: str) -> TrainConfig:
    first, *others = (dataclasses.replace(TEXT, start=start) for start in starts)
    return dataclasses.replace(worlds.TINY, text=first, texts=tuple(others))


def folder(path: Path, seed: int = 0, kind: Any = "bert") -> Path:
    path.mkdir(parents=True)
    torch.manual_seed(seed)
    encoder = build.learn(dataclasses.replace(TEXT, kind=kind), WORDS)
    encoder.save(path, encoder.state_dict())
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def test_a_folder_goes_by_what_is_in_it(store: Store, tmp_path: Path):
    one, same, other = (folder(tmp_path / name, seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    (same / "README.md").write_text("of no account")
    found = [text_inputs(store, starting(str(path))) for path in (one, same, other)]
    assert found[0] == found[1] != found[2]
    assert text_folders(found[0], starting(str(one)), tmp_path / "links") == [one.resolve()]
    (one / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match="has changed since"):
        text_folders(found[0], starting(str(one)), tmp_path / "links")


def test_one_of_ours_is_laid_where_it_is_read(store: Store, tmp_path: Path):
    own = folder(tmp_path / "own", kind="lstm")
    model = filed(store, "models/words", {f"model/{path.name}": path.read_bytes() for path in own.iterdir()})
    config = starting("", "models/words@latest")
    found = text_inputs(store, config)
    assert found[0] is None
    assert isinstance(found[1], Artifact)
    assert found[1].digest == model.digest
    nothing, laid = text_folders(found, config, tmp_path / "laid")
    assert nothing is None
    assert laid
    assert json.loads((laid / "config.json").read_text())["text"]["kind"] == "lstm"


def test_a_text_to_image_model_s_first_encoder_is_one_to_start_from(store: Store, tmp_path: Path):
    own = folder(tmp_path / "own", kind="lstm")
    files = {f"model/text/0/{path.name}": path.read_bytes() for path in own.iterdir()}
    filed(store, "models/drawer", {**files, "model/config.json": b'{"kind": "diffusion"}'})
    config = starting("models/drawer@latest")
    (laid,) = text_folders(text_inputs(store, config), config, tmp_path / "laid")
    assert laid
    assert {path.name for path in laid.iterdir()} == {path.name for path in own.iterdir()}


def test_where_nothing_is_named_there_is_no_input(store: Store, tmp_path: Path):
    assert text_inputs(store, starting("", "")) == ()
    assert text_folders((), starting("", ""), tmp_path) == []
    assert labels_input(store, worlds.TINY) is None


def test_what_a_text_encoder_starts_from_is_part_of_the_request(store: Store, tmp_path: Path):
    dataset = filed(store, "datasets/d", {"index.parquet": b""}, "shard")
    config = starting(str(folder(tmp_path / "a")))
    found = text_inputs(store, config)
    asked = {train.fingerprint(dataset, None, None, texts, None, (), config=config) for texts in ((), found)}
    assert len(asked) == 2


def test_what_is_no_text_encoder_is_refused(store: Store, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    filed(store, "models/drawer", {"model/config.json": b'{"kind": "diffusion"}'})
    for start, words in (
        (str(tmp_path / "empty"), r"has config\.json and \*\.safetensors"),
        ("models/none", "is no folder here, and"),
        ("models/drawer", "is no text encoder; name a model that train made with objective text"),
    ):
        with pytest.raises(ValueError, match=words):
            text_inputs(store, starting(start))
    for name, words in (
        ("clusters/none", "pretrain.clusters='clusters/none'"),
        ("models/drawer", "is no table"),
    ):
        config = dataclasses.replace(worlds.TINY, pretrain=PretrainConfig(labels=1.0, clusters=name))
        with pytest.raises(ValueError, match=words):
            labels_input(store, config)
