"""The stage: what its report says of a model, and that nothing is sampled twice."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdmodel.captioned_sheet import LINES
from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.conditions import ConditionsConfig
from sdmodel.config.gan import GanConfig
from sdmodel.config.picture import PictureConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.data.pixels import to_uint8
from sdmodel.diffusion.generate import load
from stages.artifacts.artifact import Artifact
from stages.config.evaluate import EvaluateConfig
from stages.demo import world
from stages.errors import Stopped
from stages.evaluate import evaluate
from stages.evaluate.grid import CELL, GAP, LINE
from stages.evaluate.oracle import unconditional_verdicts
from stages.evaluate.prompts import prompts_of
from stages.kinds.evaluation import EVALUATION
from stages.pretrained.clip import clip_snapshot
from stages.reporter import Silent
from stages.store import Store
from tests.stages import worlds

CONFIG = EvaluateConfig(
    samples=6,
    captions=("a large red circle", "nothing of this world"),
    sampling=SamplingConfig(steps=2),
    part_rows=4,
    validation_rows=5,
    device="cpu",
)


def changed(**values: Any) -> EvaluateConfig:
    return dataclasses.replace(CONFIG, **values)


@pytest.fixture(scope="module")
def plain(store: Store, model: Artifact, dataset: Artifact) -> Artifact:
    return evaluate(model, dataset, None, (), CONFIG, store=store)


def test_the_report_tells_what_was_measured_and_what_was_not(
    plain: Artifact, model: Artifact, dataset: Artifact
):
    report = plain.json("report.json")
    assert set(report) == {
        *("model", "dataset", "background", "validation", "sampling", "similarity", "nearest")
    }
    assert (report["model"], report["dataset"]) == (model.digest, dataset.digest)
    assert report["similarity"] is None
    words = plain.read("report.md").decode()
    assert "this run has no CLIP" in words
    assert "Oracle" not in words
    assert report["sampling"] == {
        "sampler": "dpm++2m",
        "steps": 2,
        "guidance": 2.0,
        "interval": [0.0, 0.8],
        "rescale": 0.0,
        "negative": "",
    }
    assert "Drawn by dpm++2m in 2 steps, guidance 2 from time 0 (0 is noise) to 0.8.\n" in words

    validation = report["validation"]
    assert validation["rows"] == CONFIG.validation_rows
    names = {f"{name}{kind}" for name in ("mse", "mae", "r2") for kind in ("", "_shuffled")}
    assert all(names < set(level) for level in [*validation["levels"], validation])
    assert [level["from"] for level in validation["levels"]] == [n / 8 for n in range(8)]
    assert f"MSE {validation['mse']:.5f}" in words
    assert plain.funnel.rows_in == plain.funnel.rows_out == 8


def test_samples_are_parts_and_another_evaluation_samples_only_what_is_new(
    plain: Artifact, store: Store, model: Artifact, dataset: Artifact
):
    assert plain.statistics["parts"] == {
        "made": 1 + 2 + 2,
        "found": 0,
    }  # validation, 6 of the test split, new ones
    assert [name for name in plain.names() if name.endswith(".npy")] == []

    captions = ("a small blue star", *CONFIG.captions)  # anywhere in the list
    more = evaluate(model, dataset, None, (), changed(captions=captions), store=store)
    assert more.statistics["parts"] == {"made": 1, "found": 5}
    fewer = evaluate(model, dataset, None, (), changed(samples=4, captions=()), store=store)
    assert fewer.statistics["parts"] == {"made": 0, "found": 2}
    stronger = SamplingConfig(steps=2, guidance=3.0)
    stressed = evaluate(model, dataset, None, (), changed(sampling=stronger), store=store)
    assert stressed.statistics["parts"] == {"made": 4, "found": 1}  # the validation loss knows no guidance
    away = SamplingConfig(steps=2, guidance=3.0, rescale=0.5, negative="a [link](b)")
    led = evaluate(model, dataset, None, (), changed(samples=0, sampling=away), store=store)
    words = led.read("report.md").decode()
    assert 'to 0.8, rescaled by 0.5, away from "a \\[link\\](b)".' in words
    assert evaluate(model, dataset, None, (), changed(batch=2), store=store).cached


def test_each_sample_is_what_the_model_draws_for_its_caption_and_its_own_seed(
    plain: Artifact, store: Store, model: Artifact, dataset: Artifact, tmp_path: Path
):
    one = changed(samples=0, captions=("a large red circle",))
    alone = evaluate(model, dataset, None, (), one, store=store)
    assert alone.statistics["parts"] == {"made": 0, "found": 2}
    (picture,) = cells(alone)
    assert np.array_equal(picture, cells(plain)[0])
    again = evaluate(model, dataset, None, (), dataclasses.replace(one, seed=1), store=store)
    assert not np.array_equal(cells(again)[0], picture)
    twice = evaluate(model, dataset, None, (), changed(samples=0, captions=one.captions * 2), store=store)
    first, second = cells(twice)
    assert np.array_equal(first, picture)
    assert not np.array_equal(second, picture)
    (prompt,) = prompts_of(dataset.table("index"), one.captions, (), 0, one.seed)
    drawn = load(model.lay("model/", tmp_path / "model")).sample(
        [prompt.caption], [prompt.seed], CONFIG.sampling
    )
    assert np.array_equal(to_uint8(drawn)[0].permute(1, 2, 0), picture)


def cells(evaluation: Artifact, columns: int = 6) -> list[np.ndarray]:
    """The pictures of grid.png, at the size that the model draws."""
    with Image.open(evaluation.path("grid.png")) as grid:
        sheet = np.asarray(grid)
    side, row = worlds.TINY.size, CELL + LINES * LINE + GAP
    count = evaluation.funnel.rows_out
    tops = [(GAP + n // columns * row, GAP + n % columns * (CELL + GAP)) for n in range(count)]
    step = CELL // side
    return [sheet[top : top + CELL : step, left : left + CELL : step] for top, left in tops]


def test_the_grids_have_a_cell_for_each_sample(plain: Artifact):
    across, down = CELL + GAP, CELL + LINES * LINE + GAP
    with Image.open(plain.path("grid.png")) as grid, Image.open(plain.path("nearest.png")) as nearest:
        assert grid.size == (6 * across + GAP, 2 * down + GAP)
        assert nearest.size == (4 * (across + CELL) + GAP, 2 * down + GAP)
        assert grid.format == nearest.format == "PNG"


def test_the_nearest_training_images_are_of_the_train_split(plain: Artifact, dataset: Artifact):
    near, index = plain.json("report.json")["nearest"], dataset.table("index")
    assert len(near["uids"]) == 8
    assert set(near["uids"]) <= set(index.loc[index["split"] == "train", "uid"])
    assert 0 < near["least"] <= near["median"] < 1


def test_clip_and_oracle_judge_where_they_are_asked_for(
    store: Store, model: Artifact, dataset: Artifact, clip: Path
):
    config = changed(oracle="demo", oracle_samples=5, captions=(), clip=f"local-dir:{clip}")
    judge = clip_snapshot(config.clip)
    assert judge is not None
    result = evaluate(model, dataset, judge, (), config, store=store)
    report = result.json("report.json")
    assert set(report["oracle"]) == {
        *("shape", "colour", "size", "position", "background", "all", "clean", "coverage", "samples")
    }
    assert report["oracle"]["samples"] == 5
    assert report["oracle"]["clean"] == 0  # it was never trained
    assert report["similarity"]["samples"] == 11
    assert report["similarity"]["clip"] == judge.digest[:12]
    assert -1 <= report["similarity"]["mean"] <= 1
    assert 0 <= report["clip"]["r_at_1_of_64"] < 0.2  # nor was this
    assert {name: result.statistics[name] for name in ("oracle", "similarity", "clip")} == {
        name: report[name] for name in ("oracle", "similarity", "clip")
    }
    words = result.read("report.md").decode()
    assert "5 samples for captions whose combination and phrasing were never trained on" in words
    assert judge.digest[:12] in words
    assert not evaluate(
        model, dataset, None, (), config, store=store
    ).cached  # without it, it is another request


def test_the_oracles_pictures_are_asked_for_by_text_by_a_picture_or_by_both(
    store: Store, dataset: Artifact, tmp_path: Path
):
    small = SelfSupervisedConfig(width=4, embedding=8)
    encoder = worlds.model(store, dataset, worlds.changed(objective="selfsupervised", selfsupervised=small))
    conditions = ConditionsConfig(picture=PictureConfig(source="reference"))
    config = worlds.changed(encoder="models/eyes", conditions=conditions)
    model = worlds.model(store, dataset, config, encoder.lay("model/", tmp_path / "encoder"))
    results = {
        how: evaluate(
            model,
            dataset,
            None,
            (),
            changed(oracle="demo", oracle_samples=4, samples=2, captions=(), oracle_prompts=how),
            store=store,
        )
        for how in ("text", "picture", "both")
    }
    drawn = {how: cells(result) for how, result in results.items()}
    for how, other in (("text", "picture"), ("picture", "both"), ("both", "text")):
        same = [np.array_equal(mine, its) for mine, its in zip(drawn[how], drawn[other], strict=True)]
        assert sum(same) == 2  # those of the test split
    assert "oracle_prompts" not in results["text"].json("report.json")
    assert results["both"].json("report.json")["oracle_prompts"] == "both"
    assert results["both"].statistics["parts"] == {"made": 1, "found": 2}
    words = "never trained on, asked for by another picture of what they say, without them:"
    assert words in results["picture"].read("report.md").decode()


def test_an_autoencoder_is_judged_by_what_it_gives_back(store: Store, dataset: Artifact):
    config = worlds.changed(objective="autoencoder", autoencoder=AutoencoderConfig(channels=(8, 8), groups=4))
    result = evaluate(worlds.model(store, dataset, config), dataset, None, (), CONFIG, store=store)
    found = result.json("report.json")["reconstruction"]
    assert found["rows"] == (dataset.table("index")["split"] == "test").sum()
    assert found["psnr"] == pytest.approx(10 * np.log10(4 / found["mse"]), abs=1e-2)
    assert f"PSNR {found['psnr']:.2f} dB" in result.read("report.md").decode()
    assert -1 <= found["ssim"] < 1
    assert "perceptual" not in found
    assert "grid.png" in result.files


def test_an_autoencoder_is_judged_in_features_and_by_latents_that_are_drawn(store: Store, dataset: Artifact):
    config = worlds.changed(objective="autoencoder", autoencoder=AutoencoderConfig(channels=(8, 8), groups=4))
    model = worlds.model(store, dataset, config)
    small = SelfSupervisedConfig(width=4, embedding=8)
    encoder = worlds.model(store, dataset, worlds.changed(objective="selfsupervised", selfsupervised=small))
    reports = [
        evaluate(
            model,
            dataset,
            None,
            (encoder,),
            changed(oracle="demo", oracle_samples=4, prior=prior),
            store=store,
        ).json("report.json")
        for prior in ("fitted", "standard")
    ]
    for report in reports:
        assert report["reconstruction"]["perceptual"] > 0
        assert report["oracle"]["samples"] == 4
        assert report["oracle"]["coverage"] == 0  # it was never trained
    assert reports[0]["reconstruction"] == reports[1]["reconstruction"]


def test_a_generator_is_judged_by_what_it_draws(store: Store, dataset: Artifact):
    config = worlds.changed(objective="gan", gan=GanConfig(latent=8, channels=4))
    model = worlds.model(store, dataset, config)
    result = evaluate(model, dataset, None, (), changed(oracle="demo", oracle_samples=5), store=store)
    report = result.json("report.json")
    assert report["oracle"] == {"coverage": 0, "clean": 0, "samples": 5}
    rows = int((dataset.table("index")["split"] == "test").sum())
    judged = report["discriminator"]
    assert (judged["rows"], judged["samples"], judged["split"]) == (min(5, rows), 5, "test")
    assert 0 <= judged["real_as_real"] <= 1
    assert {"grid.png", "nearest.png"} <= set(result.files)
    words = result.read("report.md").decode()
    assert "5 samples that no caption asked for" in words
    assert "half of both is what it would guess" in words
    compared = replace(config, gan=replace(config.gan, loss="relativistic"))
    pairs = evaluate(
        worlds.model(store, dataset, compared), dataset, None, (), changed(samples=3), store=store
    )
    assert set(pairs.json("report.json")["discriminator"]) == {"real_over_fake", "rows", "samples", "split"}
    assert "half is what it would guess" in pairs.read("report.md").decode()
    with pytest.raises(ValueError, match="reads none"):
        evaluate(model, dataset, None, (), changed(oracle="two", oracle_samples=5), store=store)


def test_cells_are_covered_by_clean_pictures_alone():
    scenes = [world.scene(5, index) for index in range(40)]
    pictures = np.stack([world.render(scene, 32) for scene in scenes])
    cells = {(scene.attributes.shape, scene.attributes.colour) for scene in scenes}
    figures = unconditional_verdicts(pictures)
    of = len(world.VALUES["shape"]) * len(world.VALUES["colour"])
    assert figures["coverage"] == pytest.approx(len(cells) / of, abs=2 / of)  # one in a hundred is not clean
    noise = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    assert unconditional_verdicts(noise) == {"coverage": 0, "clean": 0, "samples": 4}


def test_an_image_encoder_is_judged_by_knowing_pictures_again(store: Store, dataset: Artifact):
    small = SelfSupervisedConfig(width=4, embedding=8)
    config = worlds.changed(objective="selfsupervised", selfsupervised=small)
    result = evaluate(worlds.model(store, dataset, config), dataset, None, (), CONFIG, store=store)
    found = result.json("report.json")["recognition"]
    assert 1 / found["of"] <= found["r_at_1"] <= 1
    assert f"among {found['of']}" in result.read("report.md").decode()


def test_samples_are_compared_with_pictures_as_an_image_encoder_sees_them(
    store: Store, dataset: Artifact, model: Artifact, plain: Artifact
):
    small = SelfSupervisedConfig(width=4, embedding=8)
    seeing = worlds.changed(objective="selfsupervised", selfsupervised=small)
    encoder = worlds.model(store, dataset, seeing)
    result = evaluate(model, dataset, None, (encoder,), CONFIG, store=store)
    figures = result.json("report.json")["frechet"]
    rows = int((dataset.table("index")["split"] == "test").sum())
    assert {name: figures[name] for name in figures if name != "distance"} == {
        "encoder": encoder.digest[:12],
        "features": 32 * 4,
        "samples": CONFIG.samples,
        "pictures": rows,
        "split": "test",
    }
    assert figures["distance"] > 0
    words = result.read("report.md").decode()
    assert f"of {CONFIG.samples} samples from {rows} pictures of the test split" in words
    assert "FID" not in words
    assert "frechet" not in plain.json("report.json")
    few = evaluate(model, dataset, None, (encoder,), changed(samples=1), store=store)
    assert few.json("report.json")["frechet"] is None
    assert "Not measured: fewer than 2 samples" in few.read("report.md").decode()
    with pytest.raises(ValueError, match="draws none; leave it out"):
        evaluate(encoder, dataset, None, (encoder,), changed(encoder="models/eye"), store=store)
    assert EVALUATION.settings
    assert EVALUATION.settings(result) == {"encoder": f"train/{encoder.fingerprint[:12]}"}


def test_a_contrastive_model_is_judged_by_retrieval(store: Store, contrastive: Artifact, dataset: Artifact):
    result = evaluate(contrastive, dataset, None, (), EvaluateConfig(device="cpu"), store=store)
    rows = int((dataset.table("index")["split"] == "test").sum())
    report = result.json("report.json")
    assert set(report) == {"model", "dataset", "background", "retrieval"}
    found = report["retrieval"]
    assert (found["of"], found["rows"], found["split"]) == (rows, rows, "test")
    assert found["r_at_1"] * rows == pytest.approx(round(found["r_at_1"] * rows), abs=1e-3)
    assert f"Of {rows} pictures" in result.read("report.md").decode()
    assert result.names() == ["report.json", "report.md"]


def test_another_dataset_can_be_evaluated_on(
    store: Store, model: Artifact, dataset: Artifact, plain: Artifact, tmp_path: Path
):
    other = worlds.dataset(store, tmp_path / "pictures", rows=24, seed=6)
    result = evaluate(model, other, None, (), changed(samples=2), store=store)
    assert result.json("report.json")["dataset"] == other.digest
    assert result.statistics["parts"] == {"made": 2, "found": 2}  # the new captions are the same


def test_an_unknown_clip_is_named_before_anything_is_sampled(
    store: Store, model: Artifact, dataset: Artifact
):
    config = changed(clip="ViT-B-32", clip_pretrained="nowhere", seed=5)
    before = len(list(store.list("parts/evaluate")))
    with pytest.raises(ValueError, match=r"no weights 'nowhere' for ViT-B-32; known: .*openai"):
        evaluate(model, dataset, clip_snapshot("ViT-B-32", "nowhere"), (), config, store=store)
    assert len(list(store.list("parts/evaluate"))) == before


def test_a_dataset_without_splits_to_judge_by(
    store: Store, model: Artifact, contrastive: Artifact, tmp_path: Path
):
    """What stands in is said, at the head of the report and as a warning."""
    bare = worlds.dataset(store, tmp_path / "bare", rows=8, seed=7, validation=0.02, test=0.02)
    assert set(bare.table("index")["split"]) == {"train"}
    for judged, config, words in (
        (model, changed(captions=()), "figures are of the train split instead, which the model has seen"),
        (contrastive, CONFIG, "figures are of the train split instead, which the model has seen"),
        (model, CONFIG, "only captions that were given were sampled"),
    ):
        result = evaluate(judged, bare, None, (), config, store=store)
        warning = result.statistics["warnings"][-1]
        assert warning.startswith("The dataset's test split is empty (its share")
        assert words in warning
        assert result.json("report.json")["notice"] == warning
        assert result.read("report.md").decode().splitlines()[2] == f"**{warning}**"
    assert evaluate(model, bare, None, (), changed(captions=()), store=store).funnel.rows_out == 6
    assert (
        evaluate(contrastive, bare, None, (), CONFIG, store=store).statistics["retrieval"]["split"] == "train"
    )
    assert result.json("report.json")["validation"] is None
    assert "Not measured: the validation split has fewer than 2 images" in result.read("report.md").decode()
    assert result.funnel.rows_out == 2


class Stops(Silent):
    """A reporter that wants the end when samples are being drawn."""

    drawing = False

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        self.drawing = self.drawing or ("sampling" in note and done > 2)

    def stopping(self) -> bool:
        return self.drawing


def test_a_stopped_evaluation_keeps_its_samples(store: Store, model: Artifact, dataset: Artifact):
    config = changed(seed=11)
    with pytest.raises(Stopped):
        evaluate(model, dataset, None, (), config, store=store, reporter=Stops())
    assert evaluate.find(model, dataset, None, (), config=config, store=store) is None
    assert list(store.scratch().iterdir()) == []
    result = evaluate(model, dataset, None, (), config, store=store)
    assert result.statistics["parts"] == {"made": 1, "found": 4}
