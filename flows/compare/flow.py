"""Every case of the comparison. Speeds are measured first, one after the other, so that each measurement has
the machine for itself. What is finished is found; the same command continues."""

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, Literal

from prefect import flow

from flows.compare.cases import MODES, Case, Comparison, Mode, denoiser, name_of, pretraining, world
from flows.report.progress import notify_progress, task_runner
from flows.step import Result, RunContext, Step
from flows.tasks import collect, dedup, evaluate, filter_, score, shard, step_task, train
from sdmodel.config.text import TextKind
from sdmodel.config.train import TrainConfig
from stages.config.run import Run
from stages.forecast.pace import PaceConfig, pace

measure = step_task(Step(pace, ("shard",), pool="gpu"))


@flow(name="compare_text", task_runner=task_runner(), validate_parameters=True)
def compare_text(comparison: Comparison) -> list[Case]:
    """Compare text encoders: the same denoiser with each, for the same time.

    Args:
        comparison: what is compared, and for how long.
    """
    two = world(comparison, comparison.pictures, "text-two")
    emoji = world(comparison, comparison.emoji, "text-emoji") if comparison.emoji else None
    pictures, names = dataset(two), dataset(emoji) if emoji else None
    paces = {
        (kind, learns): speed(comparison, two, pictures, kind, learns)
        for kind in comparison.kinds
        for learns in (True, False)
    }

    count = itertools.count(1)

    def chain(kind: TextKind, seed: int) -> list[Case]:
        found: list[Case] = []
        for case in cases(kind, seed):
            found.append(case)
            notify_progress("compare", next(count), comparison.cases, f"{kind} {case.mode} {seed}")
        return found

    def cases(kind: TextKind, seed: int) -> Iterator[Case]:
        yield pretrained(comparison, two, pictures, kind, "pretrained", seed)
        if emoji and names:
            yield pretrained(comparison, emoji, names, kind, "emoji", seed)
        for mode in MODES:
            yield drawing(comparison, two, pictures, kind, mode, seed, paces[kind, mode != "frozen"])

    # A chain is asked from a thread of its own, in which Prefect shall know whose flow it is.
    lanes = ThreadPoolExecutor(comparison.at_once)
    try:
        chains = [
            lanes.submit(copy_context().run, chain, kind, seed)
            for seed in range(comparison.seeds)
            for kind in comparison.kinds
        ]
        for one in wait(chains, return_when=FIRST_EXCEPTION).done:
            one.result()  # the first failure, of whichever chain
        return [case for one in chains for case in one.result()]
    finally:
        # After a failure or a signal nothing more begins. What runs is not waited for here: Prefect asks it
        # to stop only once this flow has been left.
        lanes.shutdown(wait=False, cancel_futures=True)


def dataset(run: Run) -> Result:
    """From a folder of pictures to shards."""
    context = RunContext(run.store, run.name, run.name)
    images = collect.submit(config=run.collect, context=context)
    duplicates = dedup.submit(images, config=run.dedup, context=context)
    scores = score.submit(images, config=run.score, context=context)
    selection = filter_.submit(images, duplicates, scores, config=run.filter, context=context)
    return _done(shard.submit(images, selection, config=run.shard, context=context))


def pretrained(
    comparison: Comparison,
    run: Run,
    pictures: Result,
    kind: TextKind,
    mode: Literal["pretrained", "emoji"],
    seed: int,
) -> Case:
    """Pretrain an encoder and measure what it knows."""
    config = pretraining(comparison, kind, seed, emoji=mode == "emoji")
    return _case(run, pictures, kind, mode, seed, config, {})


def speed(comparison: Comparison, run: Run, pictures: Result, kind: TextKind, learns: bool) -> dict[str, Any]:
    """How fast a denoiser learns with an encoder that learns or does not, measured once."""
    train = denoiser(kind, "random" if learns else "frozen", 0, 10**6, "")
    config = PaceConfig(
        train=train,
        processes=train.processes,
        threads=train.threads,
        machine=comparison.machine,
        seconds=comparison.measuring,
    )
    name = f"{kind} {'learned' if learns else 'frozen'}"
    context = RunContext(run.store, f"text-{name.replace(' ', '-')}-pace", name)
    return json.loads(
        _done(measure.submit(pictures, config=config, context=context)).open().read("pace.json")
    )


def drawing(
    comparison: Comparison,
    run: Run,
    pictures: Result,
    kind: TextKind,
    mode: Mode,
    seed: int,
    told: dict[str, Any],
) -> Case:
    """Learn to draw for the time that the comparison gives, at the pace told, and let the oracle look."""
    start = f"models/{name_of(kind, 'pretrained', seed)}@latest"
    config = denoiser(kind, mode, seed, comparison.images(told["images_per_second"]), start)
    return _case(run, pictures, kind, mode, seed, config, told)


def _case(
    run: Run,
    pictures: Result,
    kind: TextKind,
    mode: Mode | Literal["pretrained", "emoji"],
    seed: int,
    config: TrainConfig,
    told: dict[str, Any],
) -> Case:
    context = RunContext(run.store, name_of(kind, mode, seed), f"{kind} {mode} {seed}")
    model = _done(train.submit(pictures, config=config, context=context))
    found = _done(evaluate.submit(model, pictures, config=run.evaluate, context=context))
    return Case(kind, mode, seed, config.images, told, json.loads(found.open().read("report.json")))


def _done(future: Any) -> Result:
    """The result of a task, once it is there."""
    return future.result()
