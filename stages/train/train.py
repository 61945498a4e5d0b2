"""train: a dataset becomes a model. Its parts are checkpoints, keyed by images seen. sdmodel trains in
processes of their own."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sdmodel.config.train import CAPTIONED, TrainConfig
from sdmodel.data.captioned import without_caption
from sdmodel.train.job import JOB, ContinuedFrom, JobSpec
from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.fingerprint import JSON, short_hash
from stages.output import Output
from stages.pretrained.continuation import (
    OPTIMIZER,
    Continuation,
    check_inputs,
    continuation_input,
    same_measure,
)
from stages.pretrained.image_encoder import image_encoder_folder, image_encoder_input
from stages.pretrained.lpips import lpips_input
from stages.pretrained.pseudo import pseudo_inputs, pseudo_tables
from stages.pretrained.start import start_folder, start_input
from stages.pretrained.text import TABLE, labels_input, text_folders, text_inputs
from stages.reasons import Reason
from stages.stage import Request, Stats, StepSettings, stage
from stages.train.checkpoints import Checkpoints
from stages.train.launch import ElapsedTime, launch
from stages.train.optimizer import optimizer_statistics, settled

BEST = "best.json"
"""Images seen by the published weights, and their error, where the best validation chose them."""


def _inputs(request: Request[TrainConfig]) -> list[Any]:
    dataset, *others = request.read
    store, config = request.store, request.config
    latents = others[0] if others else None
    start = continuation_input(store, config) or start_input(store, config.start)
    encoder = image_encoder_input(store, "train.encoder", config.encoder)
    encoders = tuple(filter(None, (encoder, lpips_input(config.autoencoder.lpips))))
    labels = pseudo_inputs(store, config) or labels_input(store, config)  # of objectives that differ
    return [dataset, start, latents, text_inputs(store, config), labels, encoders]


@stage(version=6, kind="model", step=StepSettings(inputs=_inputs, reference="models"))
def train(
    dataset: Artifact,
    start: Snapshot | Artifact | Continuation | None,
    latents: Artifact | None,
    texts: tuple[Snapshot | Artifact | None, ...],
    labels: Artifact | tuple[Artifact, ...] | None,
    encoders: tuple[Artifact | Snapshot, ...],
    config: TrainConfig,
    out: Output,
) -> Stats:
    """Train a model on the train split of a dataset.

    Args:
        dataset: of shard.
        start: `start_input(store, config.start)`, a model of the same objective and shape, or a pipeline;
            `continuation_input(store, config)`, the state of a model to go on with; None starts from random
            weights.
        latents: of encode, of this dataset: what is trained on instead of pixels or of captions; None trains
            on both.
        texts: `text_inputs(store, config)`, the pretrained text encoders.
        labels: of cluster, what the text objective takes for labels; None takes the dataset's own. For the
            diffusion objective `pseudo_inputs(store, config)`, of label: classes of pictures without one.
        encoders: `image_encoder_input(store, "train.encoder", config.encoder)`, the frozen image encoder that
            pictures are seen by, or `lpips_input(config.autoencoder.lpips)`; empty where there is none.
        config: the objective, the model and its training.
        out: gets `model/` (averaged weights, as `Objective.save` lays them out), `metrics.jsonl`,
            `curve.png`, `samples/`, `checkpoints/IMAGES/` of the checkpoints that stay, `best.json` where
            `validation.patience` chose the weights, and `logs/`.

    Returns:
        The funnel of the train split (every row is seen, but for those without a caption by objectives that
        learn from captions) and the optimizer with its rates, images seen, final loss, images per second,
        which model it started from or went on with, after how many images, and of which validation the
        weights are where `validation.patience` chose them.

    Raises:
        ValueError: there is no row to learn from, latents are another dataset's, the config is no good, or
            cannot go on with the model.
        RetryableError: somebody ended the training's processes; the same run goes on from what they saved.
        RuntimeError: the training process failed; the message says why, or ends with its last errors.
    """
    several = isinstance(labels, tuple)
    if isinstance(start, Continuation):
        given: dict[str, Any] = {"latents": latents}
        given |= {f"labels.{n}": table for n, table in enumerate(labels)} if several else {"labels": labels}
        given |= {f"texts.{n}": text for n, text in enumerate(texts)}
        given |= {f"encoders.{n}": encoder for n, encoder in enumerate(encoders)}
        check_inputs(start.artifact, given)
    rows, left_out = _rows(dataset, latents, config, out)
    folder = out.folder / "training"
    inputs = (dataset, start, latents, *(labels if several else (labels,)), *texts, *encoders)
    digests = [artifact.digest if artifact else "" for artifact in inputs]
    began = start.images if isinstance(start, Continuation) else 0
    checkpoints = Checkpoints(out, config, digests, folder / "samples", began)
    resumed, seconds = checkpoints.restore(folder / "checkpoints")
    if not resumed and (notice := checkpoints.unfinished_notice()):
        out.warn(notice)
    job_path = _write_job(dataset, start, latents, texts, labels, encoders, config, folder)
    elapsed = ElapsedTime(seconds, began)
    earlier = _earlier_rows(folder, resumed)
    launch(job_path, settled(config, start), out, checkpoints, resumed or began, elapsed, earlier)
    best = _take_results(folder, out)
    checkpoints.publish()
    metrics = [json.loads(line) for line in out.write("metrics.jsonl").read_text().splitlines()]
    out.on_published(checkpoints.clear)  # a crash before the manifest is there resumes from them
    statistics = {
        "objective": config.objective,
        OPTIMIZER: optimizer_statistics(config, start),
        "images": metrics[-1]["images"],
        "loss": metrics[-1]["loss"],
        "images_per_second": elapsed.images_per_second(metrics[-1]["images"]),
        "resumed_at": resumed,
        **({"start": config.start} if isinstance(start, Artifact) else {}),
        **({"continue_from": config.continue_from, "continued_at": began} if began else {}),
        **best,
    }
    reasons = {str(Reason.NO_CAPTION): left_out} if left_out else {}
    return Stats(Funnel(rows, rows - left_out, reasons), statistics)


def _rows(dataset: Artifact, latents: Artifact | None, config: TrainConfig, out: Output) -> tuple[int, int]:
    """Rows of the train split, and those of them that are not learned from since they have no caption.

    ValueError: nothing is left to learn from, or the latents are of another dataset."""
    index = dataset.table("index")
    captions = [
        [str(caption["text"]) for caption in own] for own in index.loc[index["split"] == "train", "captions"]
    ]
    if not captions:
        raise ValueError(
            "train: the dataset's train split is empty; loosen the filter or lower shard.validation and .test"
        )
    if latents is not None and (latents.manifest.inputs["dataset"] or {}).get("digest") != dataset.digest:
        raise ValueError(
            f"train: the latents {short_hash(latents.fingerprint)} are of another dataset than "
            f"{short_hash(dataset.fingerprint)}; encode this one"
        )
    empty, warning = without_caption(captions, config)
    left_out = empty if config.objective in CAPTIONED else 0
    if left_out == len(captions):
        raise ValueError(
            f"train: no picture of the train split has a caption, and objective {config.objective} learns "
            "from captions; take autoencoder, selfsupervised or diffusion, or bring captions"
        )
    if warning:
        out.warn(warning)
    return len(captions), left_out


def _earlier_rows(folder: Path, resumed: int) -> list[str]:
    """Lines of metrics.jsonl that a training goes on after, where it goes on."""
    own = folder / "checkpoints" / f"{resumed:09d}" if resumed else folder / "continued"
    metrics = own / "metrics.jsonl"
    return metrics.read_text().splitlines() if metrics.exists() else []


def _write_job(
    dataset: Artifact,
    start: Snapshot | Artifact | Continuation | None,
    latents: Artifact | None,
    texts: tuple[Snapshot | Artifact | None, ...],
    labels: Artifact | tuple[Artifact, ...] | None,
    encoders: tuple[Artifact | Snapshot, ...],
    config: TrainConfig,
    folder: Path,
) -> Path:
    """Write the job that sdmodel.train.run reads: local files and the config, nothing of the store."""
    config = settled(config, start)
    continued: ContinuedFrom | None = None
    if isinstance(start, Continuation):  # its model has the tokenizer, and what is frozen
        checkpoint = start.artifact.lay(start.prefix, folder / "continued")
        same = same_measure(start.artifact, dataset, config)
        continued = ContinuedFrom(checkpoint=checkpoint, images=start.images, same_measure=same)
        start = start.artifact
    job = JobSpec(
        folder=folder,
        index=dataset.path("index.parquet"),
        tars=_tars(dataset, config),
        config=config,
        start=start_folder(start, config.start, folder / "start"),
        continued=continued,
        latents=latents.lay("", folder / "latents") if latents else None,
        texts=tuple(text_folders(texts, config, folder / "texts")),
        encoder=_encoder_folder(encoders, folder / "encoder"),
        labels=labels.path(TABLE) if isinstance(labels, Artifact) else dataset.path("index.parquet"),
        pseudo=pseudo_tables(labels, config) if isinstance(labels, tuple) else {},
    )
    folder.mkdir(parents=True, exist_ok=True)
    return job.write(folder / JOB)


def _encoder_folder(encoders: tuple[Artifact | Snapshot, ...], folder: Path) -> Path | None:
    """Of an encoder of ours; weights from outside are read where the config names them."""
    own = [encoder for encoder in encoders if isinstance(encoder, Artifact)]
    return image_encoder_folder(next(iter(own), None), folder)


def _tars(dataset: Artifact, config: TrainConfig) -> dict[str, str]:
    """Where each tar lies: a path, or the URL of an object that is read by ranges."""
    names = [name for name in dataset.names("shards/") if name.endswith(".tar")]
    url = dataset.store.url
    if config.data.fetch or url.partition("://")[0] not in ("s3", "gs", "az"):
        return {name: str(dataset.path(name)) for name in names}
    return {name: f"{url.rstrip('/')}/{dataset.entry(name).key}" for name in names}


def _take_results(folder: Path, out: Output) -> dict[str, JSON]:
    """Make a finished training's results files of the artifact; returns its statistics of the best
    validation, where that chose the weights."""
    for name in ("model", "samples"):
        _move(folder / name, out, name)
    for name in ("metrics.jsonl", "curve.png"):
        shutil.move(folder / name, out.write(name))
    best: dict[str, JSON] = {}
    if (folder / BEST).exists():
        best["best"] = json.loads((folder / BEST).read_text())
        shutil.move(folder / BEST, out.write(BEST))
    _move(folder / "logs", out, "logs", but=("errors.txt",))
    return best


def _move(folder: Path, out: Output, prefix: str, but: Sequence[str] = ()) -> None:
    """Make the files below a folder files of the artifact; links (trackers make some) are left behind."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name not in but:
            shutil.move(path, out.write(f"{prefix}/{path.relative_to(folder).as_posix()}"))
