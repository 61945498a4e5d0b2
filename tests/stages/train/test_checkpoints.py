"""A training's checkpoints in the store: what a resume finds, what is chosen, and what is left at the end."""

import dataclasses
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdmodel.config.train import TrainConfig
from stages.output import Output, Silent
from stages.store import FolderStore, Store, open_store
from stages.train.checkpoints import KEEP, Checkpoints
from stages.train.launch import ElapsedTime, progress_text

CONFIG = TrainConfig(images=1000, checkpoint_every=100, checkpoint_keep_every=3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def attempt(store: Store) -> Callable[..., tuple[Output, Checkpoints]]:
    """An attempt at a training, in a store that may hold something of the ones before."""

    def make(config: TrainConfig = CONFIG, dataset: str = "d") -> tuple[Output, Checkpoints]:
        out = Output(store, "train", 1, {}, "f" * 64, Silent())
        return out, Checkpoints(out, config, [dataset], out.folder / "samples")

    return make


def take(out: Output, checkpoints: Checkpoints, images: int) -> None:
    folder = out.folder / f"taken-{images}"
    folder.mkdir()
    for name in ("model.safetensors", "averages.safetensors"):
        (folder / name).write_text(f"{name} after {images}")
    (out.folder / "samples").mkdir(exist_ok=True)
    (out.folder / "samples" / f"{images}.png").write_text("drawn")
    checkpoints.store(images, folder, images / 10)


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("*"))


def test_a_resume_finds_the_newest_of_its_own(attempt, tmp_path: Path):
    out, checkpoints = attempt()
    assert checkpoints.restore(tmp_path / "none") == (0, 0.0)
    for images in (100, 200, 250):
        take(out, checkpoints, images)
    take(*attempt(dataset="another"), 900)
    out, checkpoints = attempt()
    assert checkpoints.restore(tmp_path / "root") == (250, 25.0)
    assert names(out.folder / "samples") == ["100.png", "200.png", "250.png"]
    assert names(tmp_path / "root") == ["000000200", "000000250"]
    assert (tmp_path / "root/000000250/model.safetensors").read_text() == "model.safetensors after 250"


def test_a_checkpoint_that_newer_ones_have_overtaken_is_passed_over(attempt, tmp_path: Path, monkeypatch):
    """The store can be slower than the training, which keeps its two newest alone."""
    out, checkpoints = attempt()
    take(out, checkpoints, 100)
    checkpoints.store(200, out.folder / "taken-200", 20.0)  # gone before anybody came to it
    copy = shutil.copy2
    folder = out.folder / "taken-300"

    def overtaken(source: str, target: str, **options: bool) -> str:
        if folder.exists() and Path(source).parent == folder:
            shutil.rmtree(folder.rename(out.folder / "gone"))
        return copy(source, target, **options)

    monkeypatch.setattr(shutil.copytree, "__defaults__", (False, None, overtaken, False, False))
    take(out, checkpoints, 300)  # gone while it is copied
    monkeypatch.undo()
    take(out, checkpoints, 400)
    assert not list(out.folder.glob("checkpoint-*"))
    out, checkpoints = attempt()
    assert checkpoints.restore(tmp_path / "root") == (400, 40.0)
    assert names(tmp_path / "root") == ["000000100", "000000400"]


def test_a_resume_asks_the_store_as_often_however_long_it_is(attempt, tmp_path: Path, monkeypatch):
    reads: list[str] = []
    whole = FolderStore.read

    def counted(self: FolderStore, key: str, *rest: int | None) -> bytes:
        reads.append(key)
        return whole(self, key, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(FolderStore, "read", counted)
    counts: list[int] = []
    config = dataclasses.replace(CONFIG, checkpoint_keep_every=0)
    for images in (10**4, 10**9):
        out, checkpoints = attempt(config, dataset=str(images))
        take(out, checkpoints, images - 100)
        reads.clear()
        attempt(config, dataset=str(images))[1].restore(tmp_path / str(images))
        counts.append(len(reads))
    assert max(counts) <= 2 * KEEP


def test_a_damaged_one_is_dropped_and_the_one_before_counts(attempt, store: Store, tmp_path: Path):
    out, checkpoints = attempt()
    for images in (100, 200):
        take(out, checkpoints, images)
    for path in Path(store.url).glob("files/train/*/*/*/averages.safetensors"):
        if path.read_text().endswith("200"):
            path.chmod(0o644)
            path.write_text("cut")
    assert attempt()[1].restore(tmp_path / "root") == (100, 10.0)
    assert names(tmp_path / "root") == ["000000100"]
    assert len(list(store.list("parts/train"))) == 1


@pytest.mark.parametrize("breaks", [(), (300,), (100, 350, 700)])
def test_chosen_ones_are_published_however_often_it_was_interrupted(
    attempt, store: Store, tmp_path: Path, breaks: tuple[int, ...]
):
    out, checkpoints = attempt()
    folders = (tmp_path / str(number) for number in itertools.count())
    for images in sorted({*range(100, 1001, 100), *breaks}):
        take(out, checkpoints, images)
        if images in breaks:
            out.close()
            out, checkpoints = attempt()
            assert checkpoints.restore(next(folders))[0] == images
    checkpoints.publish()
    published = [f"checkpoints/{images:09d}/averages.safetensors" for images in (300, 600, 900)]
    assert sorted(out.files) == published
    checkpoints.clear()
    assert list(store.list("parts/train")) == []
    assert sorted(listed.key for listed in store.list("files")) == sorted(e.key for e in out.files.values())


def test_time_is_taken_over_all_attempts():
    elapsed = ElapsedTime(100.0)
    for seconds in (10.0, 20.0, 5.0, 10.0):  # killed and started again after the second
        elapsed.update(seconds)
    assert elapsed.seconds == 130.0
    assert elapsed.images_per_second(1300) == 10.0
    assert ElapsedTime(0.0).images_per_second(1300) is None


def test_progress_is_shown_in_few_words():
    progress: Any = {"loss": 0.12345, "images_per_second": 812.3, "seconds_left": 3725.0, "memory": 2**30}
    assert progress_text(progress) == "loss 0.1235, 812 images/s, 1.0 GiB, 1 h 2 min left"
    more = progress | {"mfu": 0.41, "memory": 12.34 * 2**30, "cost_left": 3.4, "seconds_left": 65}
    assert (
        progress_text(more) == "loss 0.1235, 812 images/s, 41% MFU, 12.3 GiB, 1 min 5 s left, costs 3.40 more"
    )


@pytest.mark.parametrize("every", [0, 3])
def test_with_their_state_the_last_one_is_published_too(attempt, every: int):
    config = dataclasses.replace(CONFIG, checkpoint_keep_every=every, checkpoint_keep_state=True)
    out, checkpoints = attempt(config)
    for images in range(100, 1001, 100):
        take(out, checkpoints, images)
    checkpoints.publish()
    published = {int(name.split("/")[1]) for name in out.files}
    assert published == ({300, 600, 900, 1000} if every else {1000})
    assert {name.split("/")[2] for name in out.files} == {"model.safetensors", "averages.safetensors"}
    checkpoints.clear()
    assert all(out.store.exists(entry.key) for entry in out.files.values())


def test_of_a_training_that_goes_on_spans_are_counted_from_its_beginning(attempt, store: Store):
    out, _ = attempt()
    checkpoints = Checkpoints(out, CONFIG, ["d"], out.folder / "samples", continued_at=300)
    for images in (400, 500, 600):
        take(out, checkpoints, images)
    checkpoints.publish()
    assert sorted(out.files) == ["checkpoints/000000600/averages.safetensors"]
    assert ElapsedTime(10.0, continued_at=300).images_per_second(600) == 30.0
