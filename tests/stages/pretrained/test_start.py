"""What a training starts from: named, hashed, found again."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import refer
from stages.pretrained.start import pipeline_files, start_folder, start_input
from stages.stage import Request
from stages.store import Store, open_store
from stages.train.train import train
from tests import frozen
from tests.stages import worlds


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("starting") / "store"))


@pytest.fixture(scope="module")
def dataset(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return worlds.dataset(store, tmp_path_factory.mktemp("pictures"), rows=12)


def test_a_pipeline_is_what_is_in_it(store: Store, tmp_path: Path):
    folder = frozen.pipeline(tmp_path / "a")
    first = start_input(store, str(folder))
    assert first is not None
    assert start_folder(first, str(folder), tmp_path / "links") == folder.resolve()
    with pytest.raises(ValueError, match="has changed since it was looked at"):
        start_folder(first, str(frozen.pipeline(tmp_path / "changed", seed=2)), tmp_path / "links")
    (folder / "README.md").write_text("not a part of it")
    (folder / "unet/diffusion_pytorch_model.fp16.safetensors").write_text("another variant")
    same, other = frozen.pipeline(tmp_path / "b"), frozen.pipeline(tmp_path / "c", seed=1)
    found = [start_input(store, str(one)) for one in (folder, same, other)]
    assert [one == first for one in found] == [True, True, False]
    assert {name.split("/")[0] for name in pipeline_files(folder)} == {
        "unet", "scheduler", "vae", "text_encoder", "tokenizer"
    }  # fmt: skip


def test_a_model_of_ours_is_a_reference(store: Store, dataset: Artifact, tmp_path: Path):
    made = worlds.model(store, dataset)
    refer(store, "models/first", made)
    found = start_input(store, "models/first@latest")
    assert found is not None
    assert found.digest == made.digest
    laid = start_folder(found, "models/first@latest", tmp_path / "links")
    assert laid is not None
    assert json.loads((laid / "config.json").read_text())["kind"] == "diffusion"
    assert start_input(store, "") is None
    assert start_folder(None, "", tmp_path / "none") is None


def test_a_training_is_another_request_where_it_starts_from_something_else(
    store: Store, dataset: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = frozen.pipeline(tmp_path / "a")
    config = dataclasses.replace(worlds.TINY, start=str(first))
    plain, started = (
        train.step.inputs(Request(store, "x", settings, [dataset], lambda: None))
        for settings in (worlds.TINY, config)
    )
    assert plain[1:] == [None, None, (), None, ()]
    asked = {train.fingerprint(*inputs, config=config) for inputs in (plain, started)}
    assert len(asked) == 2
    assert train.fingerprint(*started, config=config) == train.fingerprint(*started, config=worlds.TINY)

    plans: list[dict[str, Any]] = []

    def launched(plan: Path, *_: Any, **__: Any) -> bool:
        plans.append(json.loads(plan.read_text()))
        raise RuntimeError("far enough")

    monkeypatch.setattr("sdmodel.train.process.launch.train", launched)
    with pytest.raises(RuntimeError, match="far enough"):
        train(*started, config, store=store)
    assert plans[0]["start"] == str(first.resolve())


def test_what_is_nothing_to_start_from_is_named(store: Store, dataset: Artifact, tmp_path: Path):
    with pytest.raises(ValueError, match=r"no unet/config\.json"):
        start_input(store, str(tmp_path))
    with pytest.raises(ValueError, match=r"train\.start='models/none' is no folder here, and "):
        start_input(store, "models/none")
    with pytest.raises(ValueError, match="is no model but shard/"):
        start_input(store, dataset.fingerprint)
