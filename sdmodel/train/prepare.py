"""What a plan trains, on what, and what measures it on the way."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from sdmodel.config.learning import DataConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.captioned import trained_on
from sdmodel.data.decoded_cache import decode_shared
from sdmodel.data.index import read_index
from sdmodel.data.reader import Reader
from sdmodel.data.remote_ranges import RemoteRanges, is_remote
from sdmodel.data.stream import Stream
from sdmodel.latents.reader import cached_reader
from sdmodel.lora import inject
from sdmodel.objective import Objective
from sdmodel.objectives import objective_of
from sdmodel.train import fsdp
from sdmodel.train.grids import Grid
from sdmodel.train.optim.optimizers import freeze
from sdmodel.train.validation import Validation, batch_size, data_config

VALIDATION_SEED = 0
"""Of the rows that are measured: the same for every training."""


@dataclass(frozen=True)
class Prepared:
    """What the loop is given."""

    objective: Objective
    stream: Stream
    judge: Validation | None
    """None where nothing is measured on the way."""


def prepare(plan: dict[str, Any], config: TrainConfig, accelerator: Accelerator) -> Prepared:
    """Data decoded once, by all processes together; the same initial weights everywhere, and what is not
    learned is frozen.

    ValueError: plan and config do not fit together, or the data does not fit them; nothing is decoded if the
    config alone tells."""
    fsdp.check(config, accelerator)
    reader = _reader(plan, config, "train", config.data, accelerator)
    stream = Stream(reader, batch=config.batch, seed=config.seed, data=config.data, **_share(accelerator))
    torch.manual_seed(config.seed)
    captions = [caption for captions in reader.index.captions for caption in captions]
    latents = Path(plan["latents"]) if plan.get("latents") else None
    texts = [Path(one) if one else None for one in plan.get("texts") or []]
    labels = Path(plan["labels"]) if plan.get("labels") else None
    starting = bool(plan.get("start"))
    objective = objective_of(
        config,
        captions,
        latents,
        texts=texts,
        labels=labels,
        uids=reader.index.uids,
        starting=starting,
    )
    if plan.get("start"):
        objective.start(Path(plan["start"]))
    if config.lora.rank:
        _check_lora(config, plan)
        inject(objective.modules, config.lora)
    fsdp.check_modules(objective, config, accelerator)
    freeze(objective.modules, config.learning.frozen)
    judge = _judge(plan, config, objective, reader, accelerator) if config.validation.every else None
    return Prepared(objective, stream, judge)


def _check_lora(config: TrainConfig, plan: dict[str, Any]) -> None:
    if not plan.get("start"):
        raise ValueError(
            f"lora.rank={config.lora.rank}: low-rank changes are to a model that has learned; name one to "
            "start from, or set lora.rank to 0"
        )
    if not config.lora.merge and config.objective != "diffusion":
        raise ValueError(
            f'lora.merge=false: folders of objective "{config.objective}" hold whole models; set it to true'
        )


def _reader(
    plan: dict[str, Any], config: TrainConfig, split: str, data: DataConfig, accelerator: Accelerator
) -> Reader:
    tars: dict[str, str] = plan["tars"]
    there = RemoteRanges() if any(map(is_remote, tars.values())) else None
    index = read_index(Path(plan["index"]), tars, split, weight=data.weight, read_range=there)
    try:
        index = trained_on(index, config)
    except ValueError as error:
        raise ValueError(f"the {split} split: {error}") from error
    cache, wait = Path(plan["folder"]) / "cache", accelerator.wait_for_everyone
    rank, world = accelerator.process_index, accelerator.num_processes

    def pictures() -> Reader:
        return decode_shared(index, config.size, cache, rank, world, wait, data)

    if not plan.get("latents"):
        return pictures()
    return cached_reader(Path(plan["latents"]), index, config, pictures)


def _judge(
    plan: dict[str, Any],
    config: TrainConfig,
    objective: Objective,
    trained: Reader,
    accelerator: Accelerator,
) -> Validation:
    """ValueError: the objective draws no pictures, and shall; the validation split is empty."""
    wanted, data = config.validation, data_config(config.data)
    if wanted.prompts and not hasattr(objective, "sample"):
        raise ValueError(
            f"validation.prompts: the {config.objective} objective draws no pictures; leave it empty"
        )
    size = batch_size(config, accelerator.num_processes)
    # The pictures of both splits have the same margin; the stream looks at the centre.
    own = _reader(plan, config, "validation", replace(data, crop=config.data.crop), accelerator)
    train, validation = (
        Stream(reader, batch=size, seed=VALIDATION_SEED, data=data, **_share(accelerator))
        for reader in (trained, own)
    )
    grid = None
    main, folder = accelerator.is_main_process, Path(plan["folder"]) / "samples"
    if wanted.prompts and (main or config.shard):  # of weights that are shared out each process has a part
        grid = Grid(objective.sample, wanted.prompts, folder, writes=main)  # pyright: ignore
    autocast = lambda: accelerator.autocast()  # noqa: E731 - its own arguments are not for others
    return Validation(objective, train, validation, wanted, grid=grid, autocast=autocast)


def _share(accelerator: Accelerator) -> dict[str, Any]:
    """This process's, of a stream."""
    rank, world = accelerator.process_index, accelerator.num_processes
    return {"rank": rank, "world": world, "pin": accelerator.device.type == "cuda"}
