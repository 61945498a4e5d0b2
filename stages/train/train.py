"""train: a dataset becomes a model. Its parts are snapshots, keyed by images seen. sdmodel trains in a
process of its own."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sdmodel.config.train import CAPTIONED, TrainConfig
from sdmodel.data.captioned import without_caption
from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.errors import RetryableError
from stages.fingerprint import JSON
from stages.output import Output
from stages.pretrained.start import start_folder
from stages.pretrained.text import TABLE, text_folders
from stages.reasons import Reason
from stages.stage import Stats, stage
from stages.train.checkpoints import Snapshots

BEST = "best.json"
"""Images seen by the published weights, and their error, where the best validation chose them."""


@stage(version=4, kind="model")
def train(
    dataset: Artifact,
    start: Snapshot | Artifact | None,
    latents: Artifact | None,
    texts: tuple[Snapshot | Artifact | None, ...],
    labels: Artifact | None,
    config: TrainConfig,
    out: Output,
) -> Stats:
    """Train a model on the train split of a dataset.

    Args:
        dataset: of shard.
        start: `start_input(store, config.start)`, a model of the same objective and shape, or a pipeline;
            None starts from random weights.
        latents: of encode, of this dataset: what is trained on instead of pixels or of captions; None trains
            on both.
        texts: `text_inputs(store, config)`, the pretrained text encoders.
        labels: of cluster, what the text objective takes for labels; None takes the dataset's own.
        config: the objective, the model and its training.
        out: gets `model/` (the averaged weights: for diffusion sdmodel's folder, for contrastive an open_clip
            folder),
            `metrics.jsonl`, `curve.png`, `samples/`, `snapshots/IMAGES/` of those that are kept, `best.json`
            where `validation.patience` chose the weights, and `logs/`.

    Returns:
        The funnel of the train split (every row is seen, but for those without a caption by objectives that
        learn from captions) and images seen, final loss, images per second, and of
        which validation the weights are where `validation.patience` chose them.

    Raises:
        ValueError: the dataset has no row to train on, or none with a caption where the objective needs one;
            the latents are another dataset's, or a choice in the config is no good.
        RetryableError: somebody ended the training's processes; the same run goes on from what they saved.
        RuntimeError: the training process failed; the message says why, or ends with its last errors.
    """
    index = dataset.table("index")
    captions = [
        [str(caption["text"]) for caption in own] for own in index.loc[index["split"] == "train", "captions"]
    ]
    rows = len(captions)
    if rows == 0:
        raise ValueError(
            "train: the dataset's train split is empty; loosen the filter or lower shard.validation and .test"
        )
    if latents is not None and (latents.manifest.inputs["dataset"] or {}).get("digest") != dataset.digest:
        raise ValueError(
            f"train: the latents {latents.fingerprint[:12]} are of another dataset than "
            f"{dataset.fingerprint[:12]}; encode this one"
        )
    empty, words = without_caption(captions, config)
    left_out = empty if config.objective in CAPTIONED else 0
    if left_out == rows:
        raise ValueError(
            f"train: no picture of the train split has a caption, and objective {config.objective} learns "
            "from captions; take autoencoder, selfsupervised or diffusion, or bring captions"
        )
    if words:
        out.warn(words)
    folder = out.folder / "training"
    digests = [dataset.digest, *(one.digest if one else "" for one in (start, latents, labels, *texts))]
    snapshots = Snapshots(out, config, digests, folder / "samples")
    resumed, seconds = snapshots.restore(folder / "snapshots")
    if not resumed and (others := snapshots.others()):
        out.warn(others)
    plan = _plan(dataset, start, latents, texts, labels, config, folder)
    pace = Pace(seconds)
    _launch(plan, config, out, snapshots, resumed, pace)
    for name in ("model", "samples"):
        _move(folder / name, out, name)
    for name in ("metrics.jsonl", "curve.png"):
        shutil.move(folder / name, out.write(name))
    best: dict[str, JSON] = {}
    if (folder / BEST).exists():
        best["best"] = json.loads((folder / BEST).read_text())
        shutil.move(folder / BEST, out.write(BEST))
    _move(folder / "logs", out, "logs", but=("errors.txt",))
    snapshots.publish()
    losses = [json.loads(line) for line in out.write("metrics.jsonl").read_text().splitlines()]
    out.afterwards(snapshots.clear)  # a crash before the manifest is there resumes from them
    statistics = {
        "objective": config.objective,
        "images": losses[-1]["images"],
        "loss": losses[-1]["loss"],
        "images_per_second": pace.mean(losses[-1]["images"]),
        "resumed_at": resumed,
        **({"start": config.start} if isinstance(start, Artifact) else {}),
        **best,
    }
    reasons = {str(Reason.NO_CAPTION): left_out} if left_out else {}
    return Stats(Funnel(rows, rows - left_out, reasons), statistics)


def _plan(
    dataset: Artifact,
    start: Snapshot | Artifact | None,
    latents: Artifact | None,
    texts: tuple[Snapshot | Artifact | None, ...],
    labels: Artifact | None,
    config: TrainConfig,
    folder: Path,
) -> Path:
    """Write the plan that sdmodel.train.run reads: local files and the config, nothing of the store."""
    started = start_folder(start, config.start, folder / "start")
    cached = latents.lay("", folder / "latents") if latents else None
    plan: dict[str, Any] = {
        "folder": str(folder),
        "index": str(dataset.path("index.parquet")),
        "tars": _tars(dataset, config),
        "config": asdict(config),
        "start": str(started) if started else None,
        "latents": str(cached) if cached else None,
        "texts": [str(one) if one else None for one in text_folders(texts, config, folder / "texts")],
        "labels": str(labels.path(TABLE) if labels else dataset.path("index.parquet")),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.json"
    path.write_text(json.dumps(plan, indent=1))
    return path


def _tars(dataset: Artifact, config: TrainConfig) -> dict[str, str]:
    """Where each tar lies: a path, or the URL of an object that is read by ranges."""
    names = [name for name in dataset.names("shards/") if name.endswith(".tar")]
    url = dataset.store.url
    if config.data.fetch or url.partition("://")[0] not in ("s3", "gs", "az"):
        return {name: str(dataset.path(name)) for name in names}
    return {name: f"{url.rstrip('/')}/{dataset.entry(name).key}" for name in names}


class Pace:
    """Time that a training takes, over all attempts."""

    def __init__(self, seconds: float) -> None:
        """A training that has taken `seconds` until now."""
        self.seconds = seconds
        self._attempt = 0.0

    def hear(self, seconds: float) -> None:
        """The processes that run now have taken `seconds`; less than before, and they were started again."""
        self.seconds += seconds - (self._attempt if seconds >= self._attempt else 0.0)
        self._attempt = seconds

    def mean(self, images: int) -> float | None:
        """Images per second of the whole training; None where nobody took the time."""
        return round(images / self.seconds, 1) if self.seconds else None


def _launch(
    plan: Path, config: TrainConfig, out: Output, snapshots: Snapshots, resumed: int, pace: Pace
) -> None:
    from sdmodel.train.process.launch import Interrupted
    from sdmodel.train.process.launch import train as launch

    def on_progress(message: dict[str, Any]) -> None:
        if "warning" in message:
            out.warn(str(message["warning"]))
            return
        pace.hear(message["seconds"])
        out.progress(message["images"], message["total"], said(message))

    def on_snapshot(images: int, folder: Path) -> None:
        snapshots.keep(images, folder, pace.seconds)

    out.progress(resumed, config.images, "starting the training's processes")
    try:
        done = launch(plan, config, on_progress=on_progress, stopping=out.stopping, on_snapshot=on_snapshot)
    except Interrupted as error:
        raise RetryableError(f"train: {error}") from error
    if not done:
        out.check()
        raise RetryableError("train: it was asked to stop, and that was taken back; the same run goes on")


def said(message: Mapping[str, Any]) -> str:
    """A progress message of the training in a few words: loss, speed, use of the device, memory, time and
    money."""
    left = int(message["seconds_left"])
    clock = f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}" if left >= 3600 else ""
    words = [
        f"loss {message['loss']:.4f}",
        f"validation {message['validation']:.4f}" if "validation" in message else "",
        f"{message['images_per_second']:.0f} images/s",
        f"{message['mfu']:.0%} MFU" if "mfu" in message else "",
        f"{message['memory'] / 2**30:.1f} GiB" if "memory" in message else "",
        f"{clock or f'{left // 60}:{left % 60:02d}'} left",
        f"costs {message['cost_left']:.2f} more" if "cost_left" in message else "",
    ]
    return ", ".join(word for word in words if word)


def _move(folder: Path, out: Output, prefix: str, but: tuple[str, ...] = ()) -> None:
    """Make the files below a folder files of the artifact; links (trackers make some) are left behind."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name not in but:
            shutil.move(path, out.write(f"{prefix}/{path.relative_to(folder).as_posix()}"))
