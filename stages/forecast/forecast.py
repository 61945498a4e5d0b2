"""What a training would take, before it is paid for: size, memory, speed, time and money.

It is measured on this machine, for some seconds, on a few pictures of the dataset or on random ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sdmodel.config.sizes import images_left
from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Artifact
from stages.config.encode import EncodeConfig
from stages.fingerprint import short_hash
from stages.pretrained.files import (
    autoencoder_config,
    autoencoder_files,
    autoencoder_input,
    check_fits,
    copy_files,
    text_files,
)
from stages.pretrained.image_encoder import image_encoder_folder, image_encoder_input
from stages.pretrained.text import TABLE
from stages.store import open_store

if TYPE_CHECKING:
    from sdmodel.train.job import JobSpec
    from sdmodel.train.profile.measurement import Measurement

ROWS = 1024
"""Pictures to measure with, about; they come from as few tars as hold them, for these are fetched."""
CAPTIONS = 200_000
"""Captions, at most, that the tokenizer is learned from."""


@dataclass(frozen=True, kw_only=True)
class TrainingForecast:
    """What a training would take."""

    parameters: Mapping[str, int]
    """By part of the model."""
    learned: int
    """Parameters that change."""
    flops: float
    """Floating-point operations to learn from an image, forward and backward, without the optimizer's."""
    state: int
    """Bytes, at most, of weights, gradients, momenta and averages, in each process."""
    memory: int
    """Bytes that a process took at its worst moment: of the GPU, or of the machine where it has none."""
    processes: int
    device: str
    """Where it was measured."""
    data: str
    """What it was measured on."""
    images_per_second: float
    """Of all processes."""
    mfu: float | None
    """Share of what the devices could compute, [0, 1]; None where that is not known."""
    waiting: float
    """Share of the time that was spent waiting for data, [0, 1]."""
    images: int
    """To be seen in all."""
    seen: int
    """Of these by the model that it goes on with; 0 where it begins."""
    seconds: float
    """To see the others."""
    cost: float | None
    """Of that time; None where no price is given."""
    warnings: tuple[str, ...] = ()
    """Whether the dataset is too small for the model, in sentences."""


def forecast(
    config: TrainConfig,
    dataset: Artifact | None,
    folder: Path,
    *,
    start: Path | None = None,
    texts: Sequence[Path | None] = (),
    encoder: Path | None = None,
    labels: Artifact | None = None,
    latents: Artifact | None = None,
    encoders: Path | None = None,
    length: int = 0,
    seconds: float = 10,
    seen: int = 0,
    stopping: Callable[[], bool] = lambda: False,
) -> TrainingForecast:
    """Measure a training.

    Args:
        config: of the training.
        dataset: to measure with; random pictures where None.
        folder: existing, empty, to work in.
        start: folder of the model to start from.
        texts: folders of pretrained text encoders, None where one begins with random weights.
        encoder: folder of the frozen image encoder that pictures are seen by.
        labels: of cluster, what the text objective takes for labels; None takes the dataset's own.
        latents: of encode, of that dataset: what is learned from.
        encoders: `encoders_in` of what has yet to be encoded: random latents are learned from.
        length: `EncodeConfig.length`, for random text states.
        seconds: to measure, after the first batches.
        seen: images that the model has seen whose state the training goes on with; `start` is its folder.
        stopping: whether to leave off.

    Raises:
        ValueError: the config is no good.
        sdmodel.train.process.launch.Interrupted: `stopping` ended it.
        RuntimeError: the training failed; says why (it is out of memory, say).
    """
    from sdmodel.train.profile.measure import measure, measurement_job

    cached_text = latents is not None and bool(latents.json("latents.json")["token_width"])
    index, tars = _sample(dataset, folder, deal=not cached_text) if dataset else (None, None)

    def job_of(stage: TrainConfig) -> "JobSpec":
        place = folder / f"size-{stage.size}" if config.sizes else folder
        place.mkdir(exist_ok=True)
        return measurement_job(
            stage,
            place,
            index=index,
            tars=tars,
            start=start,
            texts=texts,
            encoder=encoder,
            labels=labels.path(TABLE) if labels else None,
            latents=latents.lay("", folder / "latents") if latents else None,
            encoders=encoders,
            length=length,
            seconds=seconds,
        )

    left = images_left(config.stages, seen) or [(config.size, 1)]
    sizes = {size: _at_size(config, size) for size, _ in left}
    measurement = _joined({size: measure(job_of(stage), stopping) for size, stage in sizes.items()}, left)
    warnings = size_warnings(dataset, config, measurement.learned) if dataset else ()
    data = f"dataset {short_hash(dataset.fingerprint)}" if dataset else "random pictures"
    if latents or encoders:
        data += f" and latents {short_hash(latents.fingerprint)}" if latents else " and random latents"
    return _extrapolated(measurement, config, data, warnings, seen)


def _at_size(config: TrainConfig, size: int) -> TrainConfig:
    """A training that has come to a size, of the model that the whole training has."""
    if not config.sizes:
        return config
    first = config.sizes[0][0]
    sizes = ((first, 1), (size, 1)) if size != first else ((size, 1),)
    return replace(config, size=size, sizes=sizes, images=len(sizes))


def _joined(measured: "Mapping[int, Measurement]", left: Sequence[tuple[int, int]]) -> "Measurement":
    """What a training of so many images at each size is measured to be: its mean speed and FLOPs, the most
    memory, and all else of the last size."""
    images = sum(count for _, count in left)
    return replace(
        measured[left[-1][0]],
        images_per_second=images / sum(count / measured[size].images_per_second for size, count in left),
        flops=sum(count * measured[size].flops for size, count in left) / images,
        memory=max(measurement.memory for measurement in measured.values()),
    )


def _extrapolated(
    measurement: "Measurement", config: TrainConfig, data: str, warnings: tuple[str, ...], seen: int
) -> TrainingForecast:
    """The forecast of the whole training, after the images that are `seen`, from some seconds of it."""
    left = config.images - seen
    seconds = measurement.start_up_seconds + left / measurement.images_per_second
    return TrainingForecast(
        parameters=measurement.parameters,
        learned=measurement.learned,
        flops=measurement.flops,
        state=measurement.state,
        memory=int(measurement.memory),
        processes=measurement.processes,
        device=measurement.device,
        data=data,
        images_per_second=measurement.images_per_second,
        mfu=measurement.mfu,
        waiting=measurement.waiting,
        images=config.images,
        seen=seen,
        seconds=seconds,
        cost=config.price * seconds / 3600 if config.price else None,
        warnings=warnings,
    )


def size_warnings(dataset: Artifact, config: TrainConfig, parameters: int) -> tuple[str, ...]:
    """Whether a dataset is too small for a model of so many learned parameters, in sentences."""
    from sdmodel.data.captioned import trained_on, without_caption
    from sdmodel.data.index import read_index
    from sdmodel.data.size_warnings import size_warnings

    path, tars = dataset.path("index.parquet"), {name: name for name in dataset.names("shards/")}
    index = read_index(path, tars, "train")
    _, empty = without_caption(index.captions, config)
    return (*filter(None, [empty]), *size_warnings(trained_on(index, config), config, parameters))


def encoders_in(folder: Path, config: EncodeConfig, store: str) -> Path | None:
    """Copies of the frozen encoders that a config names, below an empty folder; None where it names none.

    store: URL of where our own models are. ValueError: there is no such encoder, or pictures of the config's
    size do not fit it."""
    if config.autoencoder:
        settings = autoencoder_config(lambda: open_store(store, writable=False), config.autoencoder)
        check_fits(config, settings)
    if config.autoencoder and Path(config.autoencoder).is_dir():
        copy_files(autoencoder_files(Path(config.autoencoder)), folder / "autoencoder")
    elif config.autoencoder:
        model = autoencoder_input(open_store(store, writable=False), config.autoencoder)
        assert isinstance(model, Artifact)
        model.lay("model/", folder / "autoencoder")
    if config.text:
        copy_files(text_files(Path(config.text)), folder)
    opened = open_store(store, writable=False) if config.encoder else None
    if opened and (encoder := image_encoder_input(opened, "encode.encoder", config.encoder)):
        image_encoder_folder(encoder, folder / "image_encoder")
    return folder if config.autoencoder or config.text or config.encoder else None


def _sample(dataset: Artifact, folder: Path, *, deal: bool) -> tuple[Path, dict[str, Path]]:
    """An index of some training pictures, and their tars.

    deal: the pictures share the captions of all, so that the tokenizer, and with it the model, is the real
    one; else each has its own.
    """
    table = dataset.arrow_table("index")
    rows: list[dict[str, Any]] = [row for row in table.to_pylist() if row["split"] == "train"]
    if not rows:
        raise ValueError(
            "the dataset's train split is empty; loosen the filter or lower shard.validation and .test"
        )
    names: list[str] = []
    some: list[dict[str, Any]] = []
    for name in sorted({row["file"] for row in rows}):
        if len(some) >= ROWS:
            break
        names.append(name)
        some += [row for row in rows if row["file"] == name]
    captions = [caption for row in rows for caption in row["captions"]][:CAPTIONS]
    if deal:
        some = [
            {**row, "captions": captions[place :: len(some)] or row["captions"]}
            for place, row in enumerate(some)
        ]
    path = folder / "index.parquet"
    pq.write_table(pa.Table.from_pylist(some, table.schema), path)
    return path, {name: dataset.path(name) for name in names}
