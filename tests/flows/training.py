"""A training that takes as long as a test needs, on whatever machine."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from flows.steps import COLLECT, DEDUP, FILTER, SCORE, SHARD
from flows.study.cases import PACE
from stages.config.run import Run
from stages.forecast.pace import PaceConfig
from stages.store import open_store


def training_of(run: Run, seconds: float) -> Run:
    """The run, with a training of so many seconds at this moment's speed, and a checkpoint in each tenth.

    Its dataset is made, and its speed is measured.
    """
    store = open_store(run.store)
    images = COLLECT.run(store, run.name, run.collect, [])
    duplicates = DEDUP.run(store, run.name, run.dedup, [images])
    scores = SCORE.run(store, run.name, run.score, [images])
    selection = FILTER.run(store, run.name, run.filter, [images, duplicates, scores])
    dataset = SHARD.run(store, run.name, run.shard, [images, selection])
    train = replace(run.train, batch=1, images=64)
    pace = PACE.run(store, run.name, PaceConfig(train=train, seconds=5.0), [dataset])
    speed = pace.json("pace.json")["images_per_second"]
    every = max(1, int(speed * seconds / 10))
    return replace(run, train=replace(train, images=10 * every, checkpoint_every=every))


def written(run: Run, path: Path) -> Path:
    """The run as a YAML file."""
    path.write_text(yaml.safe_dump(plain(run)))
    return path


def plain(run: Run) -> Any:
    """The run as JSON has it, for deployments' parameters."""
    return _plain(asdict(run))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
