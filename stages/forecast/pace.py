"""pace: how fast a training would go on this machine, measured once and kept, so that trainings of equal time
are the same trainings whenever they are asked for."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated

from annotated_types import Interval

from sdmodel.config.limits import NEUTRAL, Config, Workers
from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Artifact, Funnel
from stages.forecast.forecast import forecast
from stages.output import Output
from stages.stage import Stats, StepSettings, stage


@dataclass(frozen=True, kw_only=True)
class PaceConfig(Config):
    """What is measured."""

    train: TrainConfig = field(default_factory=TrainConfig)
    """The training; what it starts from does not change the speed and is left out."""
    processes: Workers = 0
    """That it runs in, whatever the training says: a speed is one of so many."""
    threads: Workers = 0
    """Of each process."""
    machine: str = ""
    """That it is measured on, in words: a speed is one of a machine's."""
    seconds: Annotated[float, Interval(gt=0, le=10**6)] = field(default=8.0, metadata=NEUTRAL)
    """Of measuring, after the first batches."""


@stage(version=1, kind="pace", step=StepSettings())
def pace(dataset: Artifact, config: PaceConfig, out: Output) -> Stats:
    """Measure the speed of a training on some pictures of a dataset.

    Args:
        dataset: of shard.
        config: the training.
        out: gets `pace.json`.

    Returns:
        Images per second of all processes, parameters by part of the model, and those that learn.

    Raises:
        ValueError: the training's config is no good.
        Stopped: it was asked to stop.
    """
    from sdmodel.train.process.launch import Interrupted

    out.progress(0, 1, f"measuring for {config.seconds:g} s")
    folder = out.folder / "measured"
    folder.mkdir()
    train = replace(config.train, processes=config.processes, threads=config.threads)
    try:
        measured = asdict(forecast(train, dataset, folder, seconds=config.seconds, stopping=out.stopping))
    except Interrupted:
        out.check()
        raise
    names = ("images_per_second", "parameters", "learned", "processes", "device")
    speed = {name: measured[name] for name in names}
    out.write("pace.json").write_text(json.dumps(speed, indent=1, sort_keys=True))
    return Stats(Funnel(0, 0), speed)
