"""What a job trains, on what, and what validates it on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import torch
from accelerate import Accelerator

from sdmodel.conditions.build import index_columns, learn_layouts, start_layouts
from sdmodel.conditions.conditions import ConditionTable
from sdmodel.conditions.interface import ConditionLayout
from sdmodel.conditions.pseudo import with_pseudo_labels
from sdmodel.config.learning import DataConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.captioned import trained_on
from sdmodel.data.decoded_cache import decode_shared
from sdmodel.data.index import Index, read_index
from sdmodel.data.reader import Reader
from sdmodel.data.remote_ranges import RemoteRanges, is_remote
from sdmodel.data.sized_stream import SizedStream
from sdmodel.data.stream import Stream
from sdmodel.latents.reader import cached_reader
from sdmodel.lora import inject
from sdmodel.objective import Objective
from sdmodel.objectives import objective_of
from sdmodel.pipeline_family import is_pipeline
from sdmodel.train import fsdp
from sdmodel.train.grids import Grid
from sdmodel.train.job import JobSpec
from sdmodel.train.optim.optimizers import freeze
from sdmodel.train.validation import Validator, batch_size, data_config

VALIDATION_SEED = 0
"""Of the rows that are measured: the same for every training."""


@dataclass(frozen=True)
class Prepared:
    """What the loop is given."""

    config: TrainConfig
    """The job's, with optimizer and rates that suit what it starts from, where it leaves them open."""
    objective: Objective
    stream: Stream | SizedStream
    validator: Validator | None
    """None where nothing is measured on the way."""


Build = Callable[[TrainConfig, list[str], Sequence[ConditionLayout]], Objective]
"""(config, captions of the training split, conditions beside them) -> what is learned, in the place of what
`config.objective` names."""


def prepare(job: JobSpec, accelerator: Accelerator, build: Build | None = None) -> Prepared:
    """Data decoded once, by all processes together; the same initial weights everywhere, and what is not
    learned is frozen.

    ValueError: the parts of the job do not fit together, or the data does not fit them; nothing is decoded if
    the config alone shows it."""
    config = job.config.starting(pipeline=job.start is not None and is_pipeline(job.start))
    fsdp.check(accelerator)
    readers = _Readers(job, "train", config.data, accelerator)
    index = readers.index
    layouts = _layouts(job, index)
    table = ConditionTable(layouts, index, config.data) if layouts else None

    def stream_of(size: int) -> Stream:
        share = _share(accelerator)
        reader = readers.of(size)
        return Stream(
            reader, batch=config.batch, seed=config.seed, data=config.data, conditions=table, **share
        )

    stream = _staged(config, stream_of)
    torch.manual_seed(config.seed)
    captions = [caption for captions in index.captions for caption in captions]
    objective = (
        build(config, captions, layouts)
        if build
        else objective_of(
            config,
            captions,
            job.latents,
            texts=job.texts,
            labels=job.labels,
            uids=index.uids,
            encoder=job.encoder,
            conditions=layouts,
            starting=job.start is not None,
        )
    )
    if job.start:
        objective.start(job.start)
    if config.lora.rank:
        inject(objective.modules, config.lora)
    fsdp.check_modules(objective, config, accelerator)
    freeze(objective.modules, config.learning.frozen)
    measured = config.validation.every
    validator = _validator(job, objective, readers, layouts, accelerator) if measured else None
    return Prepared(config, objective, stream, validator)


def _layouts(job: JobSpec, index: Index) -> tuple[ConditionLayout, ...]:
    """Of the conditions beside captions; those of a model to start from are what they mean to it."""
    conditions = job.config.conditions
    return start_layouts(job.start, conditions, index) if job.start else learn_layouts(conditions, index)


class _Readers:
    """Readers of a split, of each size one; they are made when they are asked for, by all processes
    together."""

    def __init__(self, job: JobSpec, split: str, data: DataConfig, accelerator: Accelerator) -> None:
        self.job, self.data, self.accelerator = job, data, accelerator
        remote = RemoteRanges() if any(map(is_remote, job.tars.values())) else None
        columns = index_columns(job.config.conditions, job.index)
        index = read_index(job.index, job.tars, split, weight=data.weight, columns=columns, read_range=remote)
        if split == "train":
            index = with_pseudo_labels(index, job.config.conditions, job.pseudo)
        try:
            self.index = trained_on(index, job.config)
        except ValueError as error:
            raise ValueError(f"the {split} split: {error}") from error
        self._made: dict[int, Reader] = {}

    def of(self, size: int) -> Reader:
        """The reader of pictures of so many pixels to a side."""
        if size not in self._made:
            self._made[size] = self._make(size)
        return self._made[size]

    def _make(self, size: int) -> Reader:
        job, accelerator = self.job, self.accelerator
        cache, wait = job.folder / "cache", accelerator.wait_for_everyone
        rank, world = accelerator.process_index, accelerator.num_processes

        def pictures() -> Reader:
            return decode_shared(self.index, size, cache, rank, world, wait, self.data)

        return cached_reader(job.latents, self.index, job.config, pictures) if job.latents else pictures()


def _staged(config: TrainConfig, stream_of: Callable[[int], Stream]) -> Stream | SizedStream:
    """The stream of a training; that of its first size is made at once."""
    if not config.sizes:
        return stream_of(config.size)
    stream = SizedStream(config.sizes, stream_of)
    stream.of(config.sizes[0][0])
    return stream


def _validator(
    job: JobSpec,
    objective: Objective,
    trained: _Readers,
    layouts: Sequence[ConditionLayout],
    accelerator: Accelerator,
) -> Validator:
    """ValueError: the validation split is empty."""
    config, data = job.config.validation, data_config(job.config.data)
    size = batch_size(job.config, accelerator.num_processes)
    # The pictures of both splits have the same margin; the stream looks at the centre.
    own = _Readers(job, "validation", replace(data, crop=job.config.data.crop), accelerator)

    def streams_of(readers: _Readers) -> Callable[[int], Stream]:
        share = _share(accelerator)
        # Cropped at the centre of the margin that random crops have.
        seen = replace(data, crop=job.config.data.crop)
        table = ConditionTable(layouts, readers.index, seen) if layouts else None
        return lambda pixels: Stream(
            readers.of(pixels), batch=size, seed=VALIDATION_SEED, data=data, conditions=table, **share
        )

    train, validation = (_staged(job.config, streams_of(readers)) for readers in (trained, own))
    grid = None
    main = accelerator.is_main_process
    # Of weights that are sharded each process has a part.
    if config.prompts and objective.sample and (main or job.config.fsdp):
        folder, side = job.folder / "samples", job.config.size
        grid = Grid(objective.sample, config.prompts, folder, side=side, writes=main)
    autocast = lambda: accelerator.autocast()  # noqa: E731 - its own arguments are not for others
    stages = job.config.stages
    return Validator(objective, train, validation, config, stages=stages, grid=grid, autocast=autocast)


class _Share(TypedDict):
    rank: int
    world: int
    pin: bool


def _share(accelerator: Accelerator) -> _Share:
    """This process's, of a stream; batches for a GPU come in pinned memory."""
    rank, world = accelerator.process_index, accelerator.num_processes
    return {"rank": rank, "world": world, "pin": accelerator.device.type == "cuda"}
