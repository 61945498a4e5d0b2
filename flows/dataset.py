"""From sources to a dataset: the first five steps of the line, which several flows share."""

from typing import Any, NamedTuple

from prefect.futures import PrefectFuture

from flows.step import RunContext
from flows.tasks import collect, dedup, filter_, score, shard
from stages.config.run import DatasetRun


class DatasetFutures(NamedTuple):
    """Submitted steps up to a dataset, in the order of the line; each gives a `Result`."""

    images: PrefectFuture[Any]
    duplicates: PrefectFuture[Any]
    scores: PrefectFuture[Any]
    selection: PrefectFuture[Any]
    dataset: PrefectFuture[Any]


def submit_dataset(run: DatasetRun, context: RunContext) -> DatasetFutures:
    """Submit the steps from `collect` to `shard`; those beside each other run at the same time.

    Args:
        run: the configs of the five steps.
        context: where results live, and what they are filed under.
    """
    images = collect.submit(config=run.collect, context=context)
    duplicates = dedup.submit(images, config=run.dedup, context=context)
    scores = score.submit(images, config=run.score, context=context)
    selection = filter_.submit(images, duplicates, scores, config=run.filter, context=context)
    dataset = shard.submit(images, selection, config=run.shard, context=context)
    return DatasetFutures(images, duplicates, scores, selection, dataset)
