"""A training whose sizes follow each other: one model, one count of images, exact wherever it is ended."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file

from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.learning import DataConfig, OptimizerConfig, ValidationConfig
from sdmodel.config.model import DiTConfig, UNet2DConfig, UNetConfig
from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.train.job import JobSpec
from sdmodel.train.loop import train
from sdmodel.train.metrics import Gauge
from sdmodel.train.prepare import Prepared, prepare
from sdmodel.train.run import gauge_of
from tests.sdmodel.train.toy import KilledError, tree

CONFIG = TrainConfig(
    images=64,
    batch=8,
    size=16,
    sizes=((8, 32), (16, 32)),
    checkpoint_every=16,
    device="cpu",
    text=TextConfig(width=8, heads=2, queries=2, length=8, vocabulary=300, layers=1),
    unet=UNetConfig(channels=(4, 8), heads=2, condition=8),
    optimizer=OptimizerConfig(warmup=8),
    validation=ValidationConfig(every=16, rows=8, patience=9, prompts=("a red half",)),
)
UNMEASURED = replace(CONFIG, validation=ValidationConfig())
UNET2D = UNet2DConfig(channels=(8, 8), blocks=1, attention=(False, True), head_width=4, groups=4)
OTHERS = [
    replace(UNMEASURED, network="dit", dit=DiTConfig(width=16, layers=1, heads=2, patch=4)),
    replace(UNMEASURED, network="unet2d", unet2d=UNET2D),
    replace(UNMEASURED, objective="autoencoder", autoencoder=AutoencoderConfig(channels=(8, 8), groups=4)),
    replace(
        UNMEASURED, objective="selfsupervised", selfsupervised=SelfSupervisedConfig(width=4, embedding=8)
    ),
]
NAMES = ["dit", "unet2d", "autoencoder", "selfsupervised"]
"""Of the others: what sees pictures of any size and shape besides the small UNet."""


@pytest.fixture(scope="module")
def prepared(dataset) -> Callable[[TrainConfig, Path], Prepared]:
    tars = {name: str(tar) for name, tar in dataset.tars.items()}

    def make(config: TrainConfig, folder: Path) -> Prepared:
        folder.mkdir(exist_ok=True)
        job = JobSpec(folder=folder, index=dataset.index, tars=tars, config=config)
        return prepare(job, Accelerator(cpu=True))

    return make


def live(made: Prepared, config: TrainConfig, folder: Path, end: int = -1) -> list[int]:
    """Trains; everything ends before batch `end`. Returns the sides of the batches."""
    sides, batches = [], count()
    modules = made.objective.modules

    def stopping() -> bool:
        if next(batches) == end:
            raise KilledError
        return False

    def note(module: torch.nn.Module, arguments: tuple[Batch]) -> None:
        sides.append(arguments[0].images.shape[-1])

    with modules.register_forward_pre_hook(note):
        train(
            made.objective, made.stream, config, Accelerator(cpu=True), folder, lambda message: None,
            validator=made.validator, stopping=stopping,
        )  # fmt: skip
    return sides


def test_killed_on_either_side_of_a_change_it_ends_the_same(prepared, tmp_path: Path):
    sides = live(prepared(CONFIG, tmp_path / "whole"), CONFIG, tmp_path / "whole")
    assert sides == [8] * 4 + [16] * 4
    for end in (4, 1, 3):  # before the first large batch, after a checkpoint at the change, and later
        with pytest.raises(KilledError):
            live(prepared(CONFIG, tmp_path / "killed"), CONFIG, tmp_path / "killed", end)
    live(prepared(CONFIG, tmp_path / "killed"), CONFIG, tmp_path / "killed")
    whole, killed = (tree(tmp_path / name) for name in ("whole", "killed"))
    assert "checkpoints/000000064/best.safetensors" in whole
    assert {name for name in whole if whole[name] != killed.get(name)} == set()

    # What is measured and drawn on the way is of the size that was learned from.
    rows = [json.loads(line) for line in whole["metrics.jsonl"].decode().splitlines()]
    assert [(row["images"], row["size"]) for row in rows if row["images"] % 16 == 0] == [
        (16, 8), (32, 8), (48, 16), (64, 16),
    ]  # fmt: skip
    assert all("validation/ema/mse" in row for row in rows if row["images"] % 16 == 0)
    sides = [Image.open(tmp_path / f"whole/samples/{images:09d}.png").size for images in (16, 64)]
    assert sides[0] == sides[1]


def test_weights_are_carried(prepared, tmp_path: Path):
    """The stage of small pictures is the training of small pictures, and the next one goes on with it."""
    plain = replace(UNMEASURED, optimizer=OptimizerConfig(decay="constant"))
    small = replace(plain, sizes=(), size=8, images=32)
    with pytest.raises(KilledError):
        live(prepared(plain, tmp_path / "staged"), plain, tmp_path / "staged", 5)
    live(prepared(small, tmp_path / "small"), small, tmp_path / "small")
    staged, alone = (
        load_file(tmp_path / folder / "checkpoints/000000032/model.safetensors")
        for folder in ("staged", "small")
    )
    assert staged.keys() == alone.keys()
    assert all(torch.equal(staged[name], alone[name]) for name in alone)
    live(prepared(plain, tmp_path / "staged"), plain, tmp_path / "staged")
    last = load_file(tmp_path / "staged/checkpoints/000000064/model.safetensors")
    assert {name: value.shape for name, value in last.items()} == {
        name: value.shape for name, value in alone.items()
    }


@pytest.mark.parametrize("config", [UNMEASURED, *OTHERS], ids=["unet", *NAMES])
def test_sizes_and_buckets_go_through_every_objective_that_sees_any_shape(
    dataset, tmp_path: Path, config: TrainConfig
):
    table = pq.read_table(dataset.index)
    wide = [40 if row % 2 else 80 for row in range(len(table))]
    table = table.append_column("height", pa.array([40] * len(table))).append_column("width", pa.array(wide))
    pq.write_table(table, tmp_path / "index.parquet")
    config = replace(config, size=48, sizes=((32, 32), (48, 32)), data=DataConfig(buckets=3))
    tars = {name: str(tar) for name, tar in dataset.tars.items()}
    job = JobSpec(folder=tmp_path, index=tmp_path / "index.parquet", tars=tars, config=config)
    made = prepare(job, Accelerator(cpu=True))
    seen: set[tuple[int, ...]] = set()
    for images in (0, 32, 40):
        batch = made.stream.at(images)
        seen.add(tuple(batch.images.shape[2:]))
        with torch.no_grad():
            losses = made.objective.modules(batch)
        assert all(value.isfinite() for value in losses.values())
    assert seen == {(32, 32), (48, 48), (32, 64)}


def test_time_left_and_use_of_the_device_count_what_each_size_costs(prepared, tmp_path: Path):
    made = prepared(UNMEASURED, tmp_path)
    gauge = gauge_of(UNMEASURED, Accelerator(cpu=True), made.objective, made.stream)
    (_, small), (_, large) = gauge.stages
    assert 2 < large / small < 4  # the text encoder's cost stays
    gauge = Gauge(peak=100.0, stages=((32, 1.0), (32, 4.0)))
    assert [gauge.images_left(images, 64) for images in (16, 32, 48, 64)] == [16 + 4 * 32, 4 * 32, 16, 0]
    assert [gauge.read(5.0, 0, 0, images).get("mfu") for images in (32, 33)] == [0.05, 0.2]
