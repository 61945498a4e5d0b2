"""A training goes on with a finished model's state: as if it had never ended, or under other settings."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from flows.cli import main
from sdmodel.config.learning import EmaConfig, OptimizerConfig, ValidationConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.process import launch
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import refer
from stages.pretrained.continuation import continuation_input
from stages.report.summary import summary
from stages.report.trace import trace_row
from stages.reporter import Silent
from stages.store import Store, open_store
from stages.takedown.holders import holders
from stages.train.train import train
from tests.sdmodel.train.toy import KilledError
from tests.stages import worlds
from tests.stages.training import in_this_process

HALF = worlds.changed(
    images=64,
    batch=16,
    size=8,
    checkpoint_every=16,
    checkpoint_keep_state=True,
    optimizer=OptimizerConfig(warmup=32, decay="constant"),
    ema=EmaConfig(lengths=(0.05, 0.1)),
    validation=ValidationConfig(every=32, rows=4, patience=9),
)
WHOLE = dataclasses.replace(HALF, images=128)
ON = dataclasses.replace(WHOLE, continue_from="models/half@1")


class EndsAt(Silent):
    """A reporter that kills the training after so many images."""

    def __init__(self, images: int) -> None:
        self.images = images

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        if done >= self.images:
            raise KilledError


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "train", in_this_process)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("continue") / "store"))


@pytest.fixture(scope="module")
def dataset(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return worlds.dataset(store, tmp_path_factory.mktemp("pictures"), rows=24)


@pytest.fixture(scope="module")
def half(store: Store, dataset: Artifact) -> Artifact:
    model = train(dataset, None, None, (), None, (), HALF, store=store)
    refer(store, "models/half", model)
    return model


def go_on(store: Store, dataset: Artifact, config: TrainConfig, **reporter: Any) -> Artifact:
    """As a run does it, whose inputs are looked up by the stage's own rule."""
    return train(
        dataset, continuation_input(store, config), None, (), None, (), config, store=store, **reporter
    )


def rows(model: Artifact) -> list[dict[str, float]]:
    return [json.loads(line) for line in model.read("metrics.jsonl").splitlines()]


def tensors(model: Artifact, name: str, images: int) -> dict[str, torch.Tensor]:
    return load_file(model.path(f"checkpoints/{images:09d}/{name}.safetensors"))


def contents(model: Artifact, *prefixes: str) -> dict[str, str]:
    """SHA-256 of weights and tokenizers, by name."""
    names = [name for prefix in prefixes for name in model.names(prefix)]
    return {name: model.entry(name).sha256 for name in names if not name.endswith(("jsonl", "state.json"))}


def weights(model: Artifact) -> dict[str, str]:
    """SHA-256 of the published ones."""
    return {name: sha for name, sha in contents(model, "model/").items() if name.endswith(".safetensors")}


def learned_alone(model: Artifact, other: Artifact) -> tuple[str, str]:
    """(uid, SHA-256) of a picture that a model has learned from, and that is not in another dataset."""
    parents = {artifact.stage: artifact for artifact in model.ancestors()}
    index = parents["shard"].table("index", ["uid", "split"])
    uids = set(index.loc[index["split"] == "train", "uid"]) - set(other.table("index", ["uid"])["uid"])
    images = parents["collect"].table("images", ["uid", "sha256"])
    row = images[images["uid"].isin(uids)].iloc[0]
    return row["uid"], row["sha256"]


@pytest.mark.slow
def test_gone_on_with_it_is_what_it_had_been_at_once_to_the_bit(
    store: Store, dataset: Artifact, half: Artifact, capsys: pytest.CaptureFixture[str]
):
    whole = train(dataset, None, None, (), None, (), WHOLE, store=store)
    model = go_on(store, dataset, ON)
    kept = "checkpoints/000000128/"
    assert {f"{kept}{name}.safetensors" for name in ("model", "averages", "optimizer", "best")} < set(
        contents(whole, kept)
    )
    assert contents(model, "model/", kept) == contents(whole, "model/", kept)
    assert model.read("best.json") == whole.read("best.json")

    # Its curve is that of both, and says where one ended.
    own = rows(model)
    marks = [row.pop("continued_at", 0) for row in own]
    assert own == rows(whole)
    assert [mark for mark in marks if mark] == [64]
    assert marks[[row["images"] for row in own].index(80)] == 64

    # Lineage.
    assert model.statistics["continue_from"] == "models/half@1"
    assert (model.statistics["continued_at"], model.statistics["images"]) == (64, 128)
    assert (model.manifest.inputs["start"] or {})["fingerprint"] == half.fingerprint
    state = half.entry("checkpoints/000000064/state.json").sha256
    assert (model.manifest.inputs["start.state"] or {})["digest"] == state
    assert model.verify() == []
    main(["show", model.fingerprint, "--store", store.url])
    shown = capsys.readouterr().out
    assert f"input     start: {half.short_name}\n" in shown
    assert f"input     start.state: a part of start, digest {state[:12]}\n" in shown
    assert "fact      continued_at: 64\n" in shown
    assert f"| input start.state | a part of start `{state}` |" in summary(model)
    assert go_on(store, dataset, ON).cached
    assert model.fingerprint not in (whole.fingerprint, half.fingerprint)
    assert "start.state" not in whole.manifest.inputs


@pytest.mark.slow
def test_sizes_in_stages_go_on_at_the_last_to_the_bit(store: Store, dataset: Artifact):
    half = dataclasses.replace(HALF, size=16, sizes=((8, 32), (16, 32)))
    whole = dataclasses.replace(half, images=96, sizes=((8, 32), (16, 64)))
    refer(store, "models/staged", train(dataset, None, None, (), None, (), half, store=store))
    model = go_on(store, dataset, dataclasses.replace(whole, continue_from="models/staged@1"))
    assert weights(model) == weights(train(dataset, None, None, (), None, (), whole, store=store))
    assert [row["size"] for row in rows(model)] == [8, 8, 16, 16, 16, 16]


@pytest.mark.slow
def test_at_another_rate_it_begins_with_the_weights_and_momenta_of_the_state(
    store: Store, dataset: Artifact, half: Artifact
):
    still = OptimizerConfig(warmup=32, decay="constant", muon_rate=0, adam_rate=0)
    config = dataclasses.replace(ON, images=80, optimizer=still)
    model = go_on(store, dataset, config)
    before, after = tensors(half, "model", 64), tensors(model, "model", 80)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    momenta, later = tensors(half, "optimizer", 64), tensors(model, "optimizer", 80)
    steps = {name for name in momenta if name.endswith(":step")}
    assert {float(momenta[name]) for name in steps} == {4.0}
    assert {float(later[name]) for name in steps} == {5.0}
    means = {name for name in momenta if name.endswith(":exp_avg")}
    shares = [torch.dot(momenta[name].flatten(), later[name].flatten()) for name in means]
    assert means
    assert sum(bool(share > 0) for share in shares) > 0.9 * len(means)  # nine tenths of it stay
    assert rows(model)[-1]["images"] == 80


@pytest.mark.slow
def test_killed_with_another_dataset_and_batch_it_goes_on_from_its_own_checkpoints(
    store: Store, half: Artifact, tmp_path: Path
):
    more = worlds.dataset(store, tmp_path / "more", rows=20, seed=6)
    config = dataclasses.replace(ON, batch=24, images=136)
    with pytest.raises(KilledError):
        go_on(store, more, config, reporter=EndsAt(112))
    model = go_on(store, more, config)
    assert (model.statistics["resumed_at"], model.statistics["continued_at"]) == (88, 64)

    # It is the one that nobody killed, and counts on from the first.
    undisturbed = dataclasses.replace(config, checkpoint_every=17)  # another request
    again = go_on(store, more, undisturbed)
    assert again.fingerprint != model.fingerprint
    assert weights(again) == weights(model)
    assert rows(again) == rows(model)
    assert [row["images"] for row in rows(model)] == [16, 32, 48, 64, 88, 112, 136]
    tokenizer = "model/text/0/tokenizer.json"
    assert model.entry(tokenizer).sha256 == half.entry(tokenizer).sha256
    # Errors on other pictures are no measure for the first one's: the best of these alone counts.
    assert json.loads(model.read("best.json"))["images"] > 64

    # It has learned from the first one's pictures too.
    uid, sha256 = learned_alone(half, more)
    (events,) = [each["events"] for each in trace_row(store, uid)["rows"]]
    assert model.short_name in {event["artifact"] for event in events if event["stage"] == "train"}
    named = {str(holder): holder for holder in holders(store, {sha256})}
    assert named[model.short_name].has_learned


@pytest.mark.slow
def test_a_state_is_named_by_the_checkpoint_and_not_by_the_model(
    store: Store, dataset: Artifact, half: Artifact
):
    """A digest says what weights were published: two models that kept other checkpoints have one."""
    state = continuation_input(store, ON)
    assert state is not None
    earlier = dataclasses.replace(state, digest="0" * 64)
    names = {
        train.fingerprint(dataset, start, None, (), None, (), config=ON) for start in (state, earlier, half)
    }
    assert len(names) == 3
