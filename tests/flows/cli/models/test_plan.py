"""`sdflow plan`: from a config to what its training would take."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.cli import main
from sdmodel.config.train import TrainConfig
from sdmodel.latents.cache import read_settings
from sdmodel.train.job import JobSpec
from sdmodel.train.profile.measurement import Measurement
from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.reference import refer
from stages.config.run import ShardConfig
from stages.forecast.forecast import ROWS, forecast
from stages.output import Output
from stages.record import INDEX
from stages.stage import Stats, stage
from stages.store import open_store
from tests import frozen

MEASUREMENT = Measurement(
    parameters={"text": 1000, "network": 9000},
    learned=9000,
    flops=2.5e9,
    images_per_second=50.0,
    mfu=0.41,
    waiting=0.012,
    memory=3 * 2**30,
    state=2**29,
    processes=2,
    device="H200",
    seconds=10.0,
    start_up_seconds=8.0,
)


STATE = ("model", "averages", "optimizer")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[JobSpec]:
    """The jobs that are to be measured, which is not done."""
    jobs: list[JobSpec] = []

    def measure(job: JobSpec, stopping: Any) -> Measurement:
        names = {path.name for path in job.latents.iterdir()} if job.latents else set[str]()
        if "text_encoder" in names:
            assert {"autoencoder", "tokenizer"} < names
            assert read_settings(job.latents).text_length == 6  # pyright: ignore[reportArgumentType]
        jobs.append(job)
        return MEASUREMENT

    monkeypatch.setattr("sdmodel.train.profile.measure.measure", measure)
    return jobs


@pytest.fixture
def plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`sdflow plan` on a config of nothing but a training, in a store that is not there."""
    config = tmp_path / "birds.yaml"
    config.write_text(f"name: birds\nstore: {tmp_path}/store\ntrain: {{images: 180000, price: 4}}\n")

    def run(*arguments: str) -> str:
        main(["plan", str(config), *arguments])
        return capsys.readouterr().out

    return run


def test_a_plan_is_printed_for_people(plan: Callable[..., str], measured: list[JobSpec], tmp_path: Path):
    out = plan("--seconds", "3")
    assert [job.seconds for job in measured] == [3]
    assert "10,000: text 1,000, network 9,000; 1,000 of them stay as they are" in out
    assert "2.5 GFLOPs an image" in out
    assert "optimizer   muon, rate 0.012 of hidden matrices, 0.003 of the rest" in out
    assert "3.00 GiB a process at its worst moment" in out
    assert "50.0 images/s, 41% of what the device can compute; 1.2% of the time" in out
    assert "on 2 x H200, with random pictures" in out
    assert "180,000 images take 1 h 0 min" in out
    assert "4.01 at 4.00 an hour" in out
    assert not (tmp_path / "store").exists()  # a look makes no store


def test_a_plan_is_printed_as_data(plan: Callable[..., str], measured: list[JobSpec]):
    found = json.loads(plan("--json", "--set", "train.price=0", "--set", "train.batch=16"))
    assert (found["seconds"], found["cost"], found["data"]) == (3608.0, None, "random pictures")
    assert measured[0].config.batch == 16


def test_of_a_training_that_goes_on_the_images_left_are_counted(
    plan: Callable[..., str], measured: list[JobSpec], tmp_path: Path
):
    @stage(version=5, kind="model", name="train")
    def train(dataset: None, config: TrainConfig, out: Output) -> Stats:
        settings = {"network": "unet"}
        out.write("model/config.json").write_text(json.dumps({"kind": "diffusion", "model": settings}))
        for name in ("state.json", "metrics.jsonl", *(f"{name}.safetensors" for name in STATE)):
            out.write(f"checkpoints/000120000/{name}").write_text(name)
        return Stats(Funnel(0, 0))

    store = open_store(str(tmp_path / "store"))
    refer(store, "models/first", train(None, TrainConfig(), store=store))
    chosen = ("--set", "train.continue_from=models/first@1")
    out = plan(*chosen)
    assert "to the end  60,000 images take 20 min 8 s, after the 120,000 of models/first@1" in out
    figures = json.loads(plan("--json", *chosen))
    assert (figures["images"], figures["seen"], figures["seconds"]) == (180000, 120000, 1208.0)
    assert all(job.start and job.start.name == "start" for job in measured)
    card = json.loads(plan("--json", "--card", "h100", *chosen))
    assert card["images"] == 60_000
    (figures,) = card["cards"]
    assert figures["hours"] == pytest.approx(60_000 / figures["images_per_second"] / 3600)


def test_a_plan_with_frozen_encoders_takes_them_along(
    plan: Callable[..., str], measured: list[JobSpec], tmp_path: Path
):
    frozen.autoencoder(tmp_path / "pipeline/vae")
    frozen.text_encoder(tmp_path / "pipeline")
    named = [f"encode.{name}={tmp_path}/pipeline" for name in ("autoencoder", "text")]
    out = plan("--set", named[0], "--set", named[1], "--set", "encode.length=6")
    assert "with random pictures and random latents" in out
    assert [job.latents is not None for job in measured] == [True]  # with the encoders in it, see `measured`


def test_of_a_dataset_some_tars_are_fetched_and_all_captions_count(measured: list[JobSpec], tmp_path: Path):
    @stage(version=1, kind="dataset", name="shard")
    def packed(config: ShardConfig, out: Output) -> Stats:
        rows: list[dict[str, Any]] = [
            {"uid": f"{row:032x}", "split": "train" if row % 10 else "test",
             "captions": [{"text": f"caption {row}"}], "checksum": 0,
             "file": f"shards/train-{row // 800:05d}.tar", "offset": 512, "length": 9, "width": 9,
             "height": 9, "multiplicity": 1}
            for row in range(4000)
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows, INDEX), out.write("index.parquet"))
        for name in {row["file"] for row in rows}:
            out.write(str(name)).write_bytes(b"tar")
        return Stats(Funnel(4000, 4000))

    dataset: Artifact = packed(ShardConfig(), store=open_store(str(tmp_path / "store")))
    work = tmp_path / "work"
    work.mkdir()
    found = forecast(TrainConfig(), dataset, work)
    assert found.data == f"dataset {dataset.fingerprint[:12]}"
    assert any("caption" in words for words in found.warnings)  # every caption is another number
    rows = pq.read_table(measured[0].index).to_pylist()
    assert len(measured[0].tars) == 2
    assert {row["file"] for row in rows} == set(measured[0].tars)
    assert ROWS <= len(rows) < 2 * ROWS
    assert {row["split"] for row in rows} == {"train"}

    # Cached states are found by the row's own captions: these are not dealt anew then.
    @stage(version=1, kind="latents", name="encode")
    def encoded(config: ShardConfig, out: Output) -> Stats:
        out.write("latents.json").write_text('{"token_width": 8}')
        return Stats(Funnel(0, 0))

    other = tmp_path / "other"
    other.mkdir()
    latents = encoded(ShardConfig(), store=open_store(str(tmp_path / "store")))
    forecast(TrainConfig(), dataset, other, latents=latents)
    others = pq.read_table(measured[1].index).to_pylist()
    assert all(len(row["captions"]) == 1 for row in others)
    assert measured[1].latents == other / "latents"

    captions = [caption["text"] for row in rows for caption in row["captions"]]
    assert sorted(captions) == sorted(f"caption {row}" for row in range(4000) if row % 10)


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1", "3601"])
def test_a_measurement_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: str):
    config = tmp_path / "run.yaml"
    config.write_text("name: a\n")
    with pytest.raises(SystemExit, match="2"):
        main(["plan", str(config), f"--seconds={seconds}"])
    assert f"--seconds {seconds} must be above 0 and at most 3600" in capsys.readouterr().err


@pytest.mark.slow
def test_a_plan_that_is_terminated_leaves_nothing_behind(tmp_path: Path):
    config, folder = tmp_path / "birds.yaml", tmp_path / "temporary"
    folder.mkdir()
    config.write_text(f"name: birds\nstore: {tmp_path}/store\ntrain: {{size: 16, processes: 1}}\n")
    command = [sys.executable, "-m", "flows.cli", "plan", str(config), "--seconds", "300"]
    process = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(folder)}, stderr=subprocess.PIPE)
    try:
        while not list(folder.glob("sdflow-*/job.json")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert b"measuring for 300 s" in words
    assert not list(folder.glob("sdflow-*"))


def test_for_a_card_nothing_is_measured(plan: Callable[..., str], measured: list[JobSpec], tmp_path: Path):
    out = plan("--card", "rtx4090", "--card", "h200", "--mfu", "0.2")
    assert measured == []
    assert out.startswith("from formulas, nothing was measured")
    assert "rtx4090     24 GB: 64 rows fit at once (accumulate: 1)" in out
    assert "% of 989.4 TFLOP/s; 180,000 images take" in out
    assert "at 4.00 an hour" in out
    assert "assumed     an MFU of 20%, with data always there" in out
    assert not (tmp_path / "store").exists()
    figures = json.loads(plan("--card", "h200", "--price", "2", "--json"))
    assert [(card["card"], card["price"]) for card in figures["cards"]] == [("h200", 2.0)]


def test_rates_are_those_of_what_the_training_starts_from(
    plan: Callable[..., str], measured: list[JobSpec], tmp_path: Path
):
    pipeline = frozen.pipeline(tmp_path / "pipeline", latent=False)
    start = ("--set", f"train.start={pipeline}", "--set", "train.size=32")
    cached, lora = ("--set", f"encode.text={pipeline}"), ("--set", "train.lora.rank=4")
    assert "optimizer   adamw, rate 1e-05;" in plan(*start)
    assert "optimizer   adamw, rate 0.0001;" in plan("--card", "l4", *start, *cached, *lora)


def test_a_training_that_no_card_holds_says_so(plan: Callable[..., str]):
    large = ("--set", "train.network=dit", "--set", "train.dit={width: 8192, layers: 8, heads: 64}")
    out = plan("--card", "l4", *large)
    assert "it does not fit, not even a row with activation_checkpointing" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--card", "v100"), "--card 'v100' is not known; take one of a10"),
        (("--card", "h200", "--mfu", "1.5"), "--mfu 1.5 must be above 0 and at most 1"),
        (("--card", "h200", "--price", "nan"), "--price nan must be above 0"),
        (("--price", "2"), "--mfu and --price are of --card; without it, set train.price"),
    ],
)
def test_a_card_and_its_numbers_make_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
):
    config = tmp_path / "run.yaml"
    config.write_text("name: a\n")
    with pytest.raises(SystemExit, match="2"):
        main(["plan", str(config), *arguments])
    assert message in capsys.readouterr().err
