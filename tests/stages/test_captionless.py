"""Pictures without captions, from a folder to a model that is measured."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.learning import ValidationConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.selfsupervised import PatchTransformerConfig, SelfSupervisedConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.job import JobSpec
from sdmodel.train.prepare import Prepared, prepare
from sdmodel.train.run import run
from stages.artifacts.artifact import Artifact
from stages.config.evaluate import EvaluateConfig
from stages.evaluate import evaluate
from stages.evaluate.prompts import prompts_of
from stages.reasons import Reason
from stages.reporter import Silent
from stages.store import Store, open_store
from stages.train.train import train
from tests.stages import worlds

ROWS = 30
SELF = worlds.changed(
    objective="selfsupervised",
    images=96,
    batch=16,
    checkpoint_every=96,
    selfsupervised=SelfSupervisedConfig(width=4, embedding=8),
)
SMALL = PatchTransformerConfig(width=16, layers=1, heads=2)
AUTO = replace(
    SELF,
    objective="autoencoder",
    autoencoder=AutoencoderConfig(channels=(8, 8), groups=4, latent=2),
    validation=ValidationConfig(every=32, rows=4, patience=9),
)
DIFFUSION = worlds.changed(images=32, batch=16, checkpoint_every=32)
MEASURED = EvaluateConfig(samples=2, sampling=SamplingConfig(steps=1), validation_rows=4, device="cpu")


class Heard(Silent):
    """A reporter that keeps warnings."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def warn(self, stage: str, words: str) -> None:
        self.words.append(words)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("captionless") / "store"))


@pytest.fixture(scope="module")
def bare(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """No picture has a caption."""
    return worlds.dataset(store, tmp_path_factory.mktemp("bare"), rows=ROWS, captioned=0)


@pytest.fixture(scope="module")
def mixed(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Every second one has."""
    return worlds.dataset(store, tmp_path_factory.mktemp("mixed"), rows=ROWS, captioned=2)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings run in this process: to start others takes longer than they do."""

    def launched(path: Path, *_: Any, **__: Any) -> bool:
        return run(JobSpec.read(path))

    monkeypatch.setattr("sdmodel.train.process.launch.train", launched)


def job(dataset: Artifact, config: TrainConfig, folder: Path) -> JobSpec:
    """What the stage hands to the training's process."""
    tars = {name: str(dataset.path(name)) for name in dataset.names("shards/") if name.endswith(".tar")}
    return JobSpec(folder=folder, index=dataset.path("index.parquet"), tars=tars, config=config)


def prepared(dataset: Artifact, config: TrainConfig, folder: Path) -> Prepared:
    return prepare(job(dataset, config, folder), Accelerator(cpu=True))


def captions(dataset: Artifact, split: str) -> list[list[str]]:
    index = dataset.table("index")
    return [[one["text"] for one in own] for own in index.loc[index["split"] == split, "captions"]]


def test_they_become_a_dataset(bare: Artifact, mixed: Artifact):
    assert bare.funnel.rows_out == mixed.funnel.rows_out == ROWS
    assert all(len(own) == 0 for own in bare.table("index")["captions"])
    assert sorted(len(own) for own in mixed.table("index")["captions"]) == [0] * 15 + [1] * 15


@pytest.mark.usefixtures("here")
def test_an_autoencoder_learns_from_them_and_is_measured(store: Store, bare: Artifact):
    model = train(bare, None, None, (), None, (), AUTO, store=store)
    assert model.funnel.rows_out == len(captions(bare, "train"))
    assert model.funnel.reasons == {}
    # It learned to the end, and says which validation its weights are of.
    rows = [json.loads(line) for line in model.read("metrics.jsonl").splitlines()]
    errors = {row["images"]: row["validation/ema/mse"] for row in rows if "validation/ema/mse" in row}
    least = min(errors, key=lambda images: errors[images])
    assert model.statistics["best"] == model.json("best.json") == {"images": least, "error": errors[least]}
    report = evaluate(model, bare, None, (), MEASURED, store=store).json("report.json")
    assert report["reconstruction"]["rows"] == len(captions(bare, "test"))


def test_a_self_supervised_encoder_learns_from_them_and_is_measured(
    store: Store, bare: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(job(bare, SELF, tmp_path))
    assert "caption" not in capsys.readouterr().out
    assert (tmp_path / "model/config.json").exists()
    untrained = worlds.model(store, bare, SELF)
    report = evaluate(untrained, bare, None, (), MEASURED, store=store).json("report.json")
    assert report["recognition"]["rows"] == len(captions(bare, "test"))


@pytest.mark.usefixtures("here")
def test_labels_teach_an_image_encoder_and_measure_it(store: Store, tmp_path: Path):
    dataset = worlds.dataset(
        store, tmp_path / "labelled", rows=ROWS, captioned=0, columns=("shape", "colour")
    )
    assert all(len(own) == 0 for own in dataset.table("index")["captions"])
    learned = SelfSupervisedConfig(
        method="supervised", tower="vit", vit=SMALL, embedding=8, columns=("colour",), noised=0.25
    )
    model = train(dataset, None, None, (), None, (), replace(SELF, selfsupervised=learned), store=store)
    measured = replace(MEASURED, columns=("shape", "colour"))
    evaluation = evaluate(model, dataset, None, (), measured, store=store)
    probes = evaluation.json("report.json")["probes"]
    index = dataset.table("index")
    learned_from, test = (index[index["split"] == split] for split in ("train", "test"))
    for column in ("shape", "colour"):
        figures, counts = probes[column], learned_from[column].value_counts()
        commonest = min(name for name, count in counts.items() if count == counts.max())
        assert figures["majority"] == pytest.approx((test[column] == commonest).mean(), abs=1e-4)
        assert figures["classes"] == index[column].nunique()
        assert (figures["learned"], figures["rows"]) == (len(learned_from), len(test))
        for name in ("linear", "neighbours", "pixels_linear", "pixels_neighbours"):
            assert figures[name] * len(test) == pytest.approx(round(figures[name] * len(test)), abs=1e-2)
    words = evaluation.read("report.md").decode()
    assert f"| colour | {probes['colour']['linear']:.1%} | {probes['colour']['neighbours']:.1%} |" in words
    with pytest.raises(ValueError, match=r"evaluate\.columns: the dataset has no size"):
        evaluate(model, dataset, None, (), replace(MEASURED, columns=("size",)), store=store)
    drawn = worlds.model(store, dataset, DIFFUSION)
    with pytest.raises(ValueError, match="image encoders are measured by labels"):
        evaluate(drawn, dataset, None, (), measured, store=store)


def test_diffusion_takes_the_unconditional_text_for_a_missing_caption(mixed: Artifact, tmp_path: Path):
    made = prepared(mixed, DIFFUSION, tmp_path)
    told = dict(zip(made.stream.reader.index.uids, captions(mixed, "train"), strict=True))
    batch = made.stream.at(0)
    empty = torch.tensor([not told[uid] for uid in batch.uids])
    assert 0 < int(empty.sum()) < len(batch)
    model = made.objective.modules
    seen, dropped = (model.condition(batch, rows) for rows in (None, empty))
    assert torch.equal(seen.states, dropped.states)
    assert torch.equal(seen.pooled, dropped.pooled)


def test_a_model_without_any_caption_is_measured_without_captions(store: Store, bare: Artifact):
    report = evaluate(worlds.model(store, bare, DIFFUSION), bare, None, (), MEASURED, store=store)
    assert report.funnel.rows_out == MEASURED.samples
    assert report.json("report.json")["validation"]["rows"] == 4


def test_captions_that_are_missing_are_left_out_of_what_is_sampled(mixed: Artifact):
    index = mixed.table("index")
    found = prompts_of(index, (), (), ROWS, 0)
    assert sorted(prompt.caption for prompt in found) == sorted(
        own[0] for own in captions(mixed, "test") if own
    )
    assert found


@pytest.mark.parametrize("objective", ["contrastive", "text"])
def test_who_learns_from_captions_leaves_the_others_out_and_says_so(
    mixed: Artifact, store: Store, tmp_path: Path, objective: Any, monkeypatch: pytest.MonkeyPatch
):
    config = worlds.changed(objective=objective, size=32, images=8, batch=4)
    rows = captions(mixed, "train")
    some = sum(map(bool, rows))
    made = prepared(mixed, config, tmp_path)
    assert len(made.stream.reader.index) == some
    assert all(made.stream.at(0).captions)

    def launched(*_: Any, **__: Any) -> bool:
        raise RuntimeError("far enough")

    monkeypatch.setattr("sdmodel.train.process.launch.train", launched)
    heard = Heard()
    with pytest.raises(RuntimeError, match="far enough"):
        train(mixed, None, None, (), None, (), config, store=store, reporter=heard)
    assert heard.words == [
        f"{len(rows) - some} of {len(rows)} pictures to train on have no caption and are left out: "
        f"objective {objective} learns from captions."
    ]


@pytest.mark.parametrize("objective", ["contrastive", "text"])
def test_who_learns_from_captions_refuses_pictures_without_any(bare: Artifact, store: Store, objective: Any):
    with pytest.raises(ValueError, match="no picture of the train split has a caption"):
        train(bare, None, None, (), None, (), worlds.changed(objective=objective, size=32), store=store)


@pytest.mark.usefixtures("here")
def test_the_funnel_counts_what_was_left_out(mixed: Artifact, store: Store):
    config = worlds.changed(objective="contrastive", size=32, images=8, batch=8, checkpoint_every=8)
    model = train(mixed, None, None, (), None, (), config, store=store)
    rows = captions(mixed, "train")
    some = sum(map(bool, rows))
    assert (model.funnel.rows_in, model.funnel.rows_out) == (len(rows), some)
    assert model.funnel.reasons == {Reason.NO_CAPTION: len(rows) - some}
    found = evaluate(model, mixed, None, (), MEASURED, store=store).json("report.json")["retrieval"]
    assert found["rows"] == sum(map(bool, captions(mixed, "test")))
