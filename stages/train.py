"""train: a dataset becomes a model. Its parts are snapshots, keyed by images seen. sdmodel trains in a
process of its own."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sdmodel.config import TrainConfig
from stages.artifact import Artifact, Funnel
from stages.errors import DamagedError
from stages.output import Made, Output, Part
from stages.stage import Stats, stage

KEEP = 2
"""Snapshots kept in the store while the training runs: the newest, and one before it in case that is
damaged."""


@stage(version=1, kind="model")
def train(dataset: Artifact, start: Artifact | None, config: TrainConfig, out: Output) -> Stats:
    """Train a model on the train split of a dataset.

    Args:
        dataset: of shard.
        start: a model to start from, of the same objective and shape; None starts from random weights.
        config: the objective, the model and its training.
        out: gets `model/` (the averaged weights: for diffusion sdmodel's folder, for contrastive an open_clip
            folder),
            `metrics.jsonl`, `curve.png` and `logs/`.

    Returns:
        The funnel of the train split (every row is seen) and images seen, final loss, images per second.

    Raises:
        ValueError: the dataset has no row to train on.
        RuntimeError: the training process failed; the message ends with its last errors.
    """
    rows = int((dataset.table("index")["split"] == "train").sum())
    if rows == 0:
        raise ValueError(
            "train: the dataset's train split is empty; loosen the filter or lower shard.validation and .test"
        )
    folder = out.folder / "training"
    snapshots = _Snapshots(out, config, [dataset.digest, start.digest if start else ""])
    resumed = snapshots.restore(folder / "snapshots")
    plan = _plan(dataset, start, config, folder)
    _launch(plan, config, out, snapshots, resumed)
    out.check()
    for path in sorted((folder / "model").rglob("*")):
        if path.is_file():
            shutil.move(path, out.write(path.relative_to(folder).as_posix()))
    for name in ("metrics.jsonl", "curve.png"):
        shutil.move(folder / name, out.write(name))
    throughput = _keep_logs(folder / "logs", out)
    losses = [json.loads(line) for line in out.write("metrics.jsonl").read_text().splitlines()]
    out.afterwards(snapshots.clear)  # a crash before the manifest is there resumes from them
    statistics = {
        "objective": config.objective,
        "images": config.images,
        "loss": losses[-1]["loss"],
        "images_per_second": throughput,
        "resumed_at": resumed,
    }
    return Stats(Funnel(rows, rows), statistics)


def _plan(dataset: Artifact, start: Artifact | None, config: TrainConfig, folder: Path) -> Path:
    """Write the plan that sdmodel.train.run reads: local files and the config, nothing of the store."""
    started = start.lay("model/", folder / "start") if start else None
    plan: dict[str, Any] = {
        "folder": str(folder),
        "index": str(dataset.path("index.parquet")),
        "tars": {name: str(dataset.path(name)) for name in dataset.names("shards/") if name.endswith(".tar")},
        "config": asdict(config),
        "start": str(started) if started else None,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.json"
    path.write_text(json.dumps(plan, indent=1))
    return path


def _launch(plan: Path, config: TrainConfig, out: Output, snapshots: "_Snapshots", resumed: int) -> None:
    from sdmodel.train.launch import train as launch

    def on_progress(message: dict[str, Any]) -> None:
        if "warning" in message:
            out.progress(resumed, config.images, str(message["warning"]))
            return
        left = int(message["seconds_left"])
        note = (
            f"loss {message['loss']:.4f}, {message['images_per_second']:.0f} images/s, "
            f"{left // 60}:{left % 60:02d} left"
        )
        out.progress(message["images"], message["total"], note)

    out.progress(resumed, config.images, "starting the training's processes")
    launch(plan, config, on_progress=on_progress, stopping=out.stopping, on_snapshot=snapshots.keep)


def _keep_logs(logs: Path, out: Output) -> float:
    """Keep the throughput and TensorBoard's events; return the mean images per second of this attempt."""
    for path in sorted(logs.rglob("*")):
        if path.is_file() and path.name != "errors.txt":
            shutil.move(path, out.write(f"logs/{path.relative_to(logs).as_posix()}"))
    throughput = out.write("logs/throughput.jsonl")
    lines = throughput.read_text().splitlines() if throughput.is_file() else []
    return round(json.loads(lines[-1])["images_per_second"], 1) if lines else 0.0


class _Snapshots:
    """The parts of a training: complete snapshots, brought to the store as they appear."""

    def __init__(self, out: Output, config: TrainConfig, inputs: list[str]) -> None:
        self._out, self._config, self._inputs = out, config, inputs
        self._kept: list[Part] = []

    def restore(self, root: Path) -> int:
        """Lay the newest kept snapshots below `root`; the images seen of the newest, 0 where there is none.

        One whose files are not whole is dropped, and the one before it counts; so are those that a crash
        kept from being dropped in time.
        """
        newest = 0
        for ordinal in range(self._ordinal(self._config.images), 0, -1):
            part = self._out.find(f"snapshot-{ordinal}", [*self._inputs, str(ordinal)])
            if part is None:
                continue
            if len(self._kept) == KEEP:
                self._drop(part)
                continue
            images = int(str(part.statistics["images"]))
            try:
                paths = {name: part.path(name) for name in part.names()}
            except DamagedError:
                self._drop(part)
                continue
            for name, path in paths.items():
                target = root / f"{images:09d}" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            self._kept.insert(0, part)
            newest = max(newest, images)
        return newest

    def keep(self, images: int, folder: Path) -> None:
        """Bring a complete snapshot to the store and forget the oldest."""
        ordinal = self._ordinal(images)
        key, aside = f"snapshot-{ordinal}", self._out.folder / f"snapshot-{ordinal}"
        for again in [part for part in self._kept if part.key == key]:
            self._drop(again)  # sdmodel found it damaged and passed it over
            self._kept.remove(again)
        shutil.copytree(folder, aside)
        made = Made(statistics={"images": images})
        self._kept.append(self._out.record(key, [*self._inputs, str(ordinal)], aside, made))
        for old in self._kept[:-KEEP]:
            self._drop(old)
        del self._kept[:-KEEP]

    def _ordinal(self, images: int) -> int:
        """Numbers the snapshots of a training: one for each `snapshot_every`, and one at the end."""
        every = self._config.snapshot_every
        return self._config.images // every + 1 if images >= self._config.images else images // every

    def clear(self) -> None:
        """A finished training needs none of them."""
        for part in self._kept:
            self._drop(part)
        self._kept.clear()

    def _drop(self, part: Part) -> None:
        self._out.forget(part)
        self._out.store.delete(entry.key for entry in part.files.values())
