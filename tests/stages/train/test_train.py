"""The stage train: a model from a dataset, the same whatever happened on the way, and nothing left behind."""

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sdmodel.config.learning import DataConfig
from sdmodel.data.index import read_index
from sdmodel.data.remote_ranges import RemoteRanges
from sdmodel.train.job import JobSpec
from stages.artifacts.activity import leases_in_use
from stages.artifacts.artifact import Artifact, Funnel
from stages.config.run import ShardConfig
from stages.errors import Stopped
from stages.output import Output
from stages.record import INDEX
from stages.stage import Stats, stage
from stages.store import Store, open_store
from stages.train.checkpoints import KEEP
from stages.train.train import train
from tests.stages import worlds

CONFIG = worlds.TINY
EVERY = CONFIG.checkpoint_every

IN_ANOTHER_PROCESS = """
import pathlib, sys
from stages.artifacts.artifact import Artifact
from stages.store import open_store
from stages.train.train import train
from tests.stages.train.test_train import CONFIG

store = open_store(sys.argv[1])
train(Artifact.open(store, "shard", sys.argv[2]), None, None, (), None, (), CONFIG, store=store)
"""


class StopsAfter:
    """A reporter that wants the end once more than so many images are seen."""

    def __init__(self, images: int) -> None:
        self.images, self.seen, self.notes = images, 0, list[str]()

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        assert total == CONFIG.images
        self.seen = max(self.seen, done)
        self.notes.append(note)

    def warn(self, stage: str, words: str) -> None:
        """Of pictures that are few."""

    def stopping(self) -> bool:
        return self.seen > self.images


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("train") / "store"))


@pytest.fixture(scope="module")
def dataset(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return worlds.dataset(store, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def undisturbed(store: Store, dataset: Artifact) -> Artifact:
    return train(dataset, None, None, (), None, (), CONFIG, store=store)


def another(store: Store, dataset: Artifact, folder: Path) -> tuple[Store, Artifact]:
    """A store of its own that holds the dataset and nothing that was trained."""
    shutil.copytree(
        Path(store.url), folder, ignore=lambda path, names: {"train"} & set(names), copy_function=shutil.copy2
    )
    copy = open_store(str(folder))
    return copy, Artifact.open(copy, "shard", dataset.fingerprint)


def leftovers(store: Store, model: Artifact) -> list[str]:
    """What a training has put somewhere and the model does not name."""
    named = {entry.key for entry in model.files.values()}
    files = [listed.key for listed in store.list("files/train") if listed.key not in named]
    return [
        *(listed.key for listed in store.list("parts/train")),
        *files,
        *map(str, store.scratch().iterdir()),
    ]


def checkpoints(store: Store) -> dict[int, dict[str, dict[str, str]]]:
    """Images seen -> the files of each checkpoint that the store keeps."""
    records = [json.loads(store.read(listed.key)) for listed in store.list("parts/train")]
    return {record["statistics"]["images"]: record["files"] for record in records}


def children() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children(recursive=True) if "sdmodel" in " ".join(child.cmdline())
    ]


@pytest.mark.slow
def test_a_model_and_how_it_was_learned(store: Store, dataset: Artifact, undisturbed: Artifact):
    rows = int((dataset.table("index")["split"] == "train").sum())
    assert (undisturbed.kind, undisturbed.funnel.rows_in, undisturbed.funnel.rows_out) == (
        "model",
        rows,
        rows,
    )
    text = {f"text/0/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json")}
    assert {"config.json", "model.safetensors", *text} == {
        name.removeprefix("model/") for name in undisturbed.names("model/")
    }
    metrics = [json.loads(line) for line in undisturbed.read("metrics.jsonl").splitlines()]
    assert [row["images"] for row in metrics] == list(range(CONFIG.batch, CONFIG.images + 1, CONFIG.batch))
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    with Image.open(undisturbed.path("curve.png")) as curve:
        assert min(curve.size) > 100
    assert {"logs/throughput.jsonl"} < set(undisturbed.names("logs/"))
    statistics = undisturbed.statistics
    assert statistics["images"] == CONFIG.images
    assert statistics["loss"] == metrics[-1]["loss"]
    assert statistics["images_per_second"] > 0
    assert (statistics["objective"], statistics["resumed_at"]) == ("diffusion", 0)
    assert undisturbed.verify() == []

    # Checkpoints were its parts, one for each `checkpoint_every`; they went once the model was there.
    assert statistics["parts"]["made"] == CONFIG.images // EVERY
    assert leftovers(store, undisturbed) == []
    assert train(dataset, None, None, (), None, (), CONFIG, store=store).cached


@pytest.mark.slow
def test_killed_and_stopped_on_the_way_it_is_the_same_model(
    store: Store, dataset: Artifact, undisturbed: Artifact, tmp_path: Path
):
    own, same = another(store, dataset, tmp_path / "store")
    program = [sys.executable, "-c", IN_ANOTHER_PROCESS, own.url, same.fingerprint]
    with subprocess.Popen(program, cwd=Path(__file__).parents[3]) as running:
        while not list(own.list("parts/train")):
            assert running.poll() is None
            time.sleep(0.01)
        below = psutil.Process(running.pid).children(recursive=True)
        running.kill()
    assert below
    assert psutil.wait_procs(below, timeout=300)[1] == []
    assert train.find(same, None, None, (), None, (), config=CONFIG, store=own) is None
    assert leases_in_use(own) == []

    # Stopped: what it began ends, what it finished is kept.
    reporter = StopsAfter(2 * EVERY)
    with pytest.raises(Stopped):
        train(same, None, None, (), None, (), CONFIG, store=own, reporter=reporter)
    assert children() == []
    assert any("loss" in note and "left" in note for note in reporter.notes)
    assert train.find(same, None, None, (), None, (), config=CONFIG, store=own) is None
    assert sum(path.is_dir() for path in own.scratch().iterdir()) == 1  # the killed one's, gc's to remove
    newest = sorted(checkpoints(own).items())
    assert len(newest) == KEEP
    assert newest[-1][0] >= 2 * EVERY

    # The newest checkpoint is cut short: the one before it counts. And neutral choices make no other model.
    victim = Path(own.url) / newest[-1][1]["model.safetensors"]["key"]
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1])
    decoded_as_seen = dataclasses.replace(CONFIG, data=DataConfig(memory=0, workers=1))
    finished = train(same, None, None, (), None, (), decoded_as_seen, store=own)
    assert finished.statistics["resumed_at"] == newest[0][0]
    assert finished.fingerprint == undisturbed.fingerprint
    assert finished.digest == undisturbed.digest
    assert checkpoints(own) == {}


def test_without_a_row_to_train_on_it_says_what_to_do(tmp_path: Path):
    @stage(version=1, kind="dataset", name="shard")
    def without_training(config: ShardConfig, out: Output) -> Stats:
        rows = [{"uid": "0" * 32, "split": "test", "captions": [{"text": "a picture"}]}]
        pq.write_table(pa.Table.from_pylist(rows, INDEX), out.write("index.parquet"))
        return Stats(Funnel(1, 1))

    store = open_store(str(tmp_path / "store"))
    dataset = without_training(ShardConfig(), store=store)
    with pytest.raises(
        ValueError, match=r"train split is empty; loosen the filter or lower shard\.validation"
    ):
        train(dataset, None, None, (), None, (), CONFIG, store=store)
    assert leases_in_use(store) == []
    assert list(store.scratch().iterdir()) == []


def test_pictures_in_object_storage_may_be_read_where_they_lie(
    s3: str, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    remote = open_store(s3)
    dataset = worlds.dataset(remote, tmp_path / "pictures", rows=12)
    shutil.rmtree(own_cache)
    jobs: list[JobSpec] = []

    def launched(job_path: Path, **_: Any) -> bool:
        jobs.append(JobSpec.read(job_path))
        raise RuntimeError("far enough")

    monkeypatch.setattr("sdmodel.train.process.launch.train", launched)
    for fetch in (False, True):
        config = dataclasses.replace(CONFIG, data=DataConfig(fetch=fetch))
        with pytest.raises(RuntimeError, match="far enough"):
            train(dataset, None, None, (), None, (), config, store=remote)
    there, here = (read_index(job.index, job.tars, "train") for job in jobs)
    there = dataclasses.replace(there, read_range=RemoteRanges())
    assert all(str(name).startswith(s3) for name in there.files)
    assert all(Path(name).is_file() for name in here.files)
    assert all(there.bytes_of(row) == here.bytes_of(row) for row in range(len(here)))
