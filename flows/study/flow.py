"""The flow of a study: datasets and speeds first, one after the other, so that each measurement has the
machine for itself; then trainings side by side. What is finished shows as cached; the same command
continues."""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from prefect import flow

from flows.dataset import submit_dataset
from flows.ownership import giving_way
from flows.report.names import study_name
from flows.report.progress import notify_progress
from flows.report.task_runner import task_runner
from flows.step import Result, RunContext, check_released
from flows.steps import ENCODE
from flows.study.cases import PACE, Case, cases_of, needs_pace, waves
from flows.study.config import StudyConfig
from flows.study.halving import rungs, survivors
from flows.study.measures import figure_of
from flows.study.results import CaseResult
from flows.tasks import encode, evaluate, step_task, train
from stages.config.run import Run
from stages.forecast.pace import PaceConfig
from stages.store import open_store

T = TypeVar("T")

measure_pace = step_task(PACE)


@flow(name="study", flow_run_name=study_name, task_runner=task_runner(), validate_parameters=True)
def study(config: StudyConfig, base: Path, store: str, machine: str, lanes: int) -> list[CaseResult]:
    """Train and evaluate every case of a study.

    Args:
        config: the study.
        base: config file of its base run.
        store: where artifacts live: a folder, s3://bucket/prefix, gs:// or az://.
        machine: where speeds are measured, in words; another machine has others, and equal time there is
            other trainings.
        lanes: trainings side by side.
    """
    with giving_way():
        return compare(config, cases_of(config, base, store), machine, lanes)


def compare(config: StudyConfig, cases: Sequence[Case], machine: str, lanes: int) -> list[CaseResult]:
    """The results of a study's cases; see `study`."""
    datasets: dict[str, Result] = {}
    for case in cases:
        if case.data not in datasets:
            datasets[case.data] = dataset(case.run)
    paces: dict[str, dict[str, Any]] = {}
    for case in cases:
        if needs_pace(config, case) and (key := pace_key(case, machine, config)) not in paces:
            paces[key] = measured_pace(case, datasets[case.data], case.pace(machine, config.measuring))

    raced = [case for case in cases if case.arm in config.raced]
    steps = rungs(config.halving, len({(case.variant, case.arm) for case in raced})) if raced else []
    total = len(cases) - len(raced) + len(config.seeds) * sum(cells for _, cells in steps)
    count = itertools.count(1)

    def perform(case: Case, share: float) -> CaseResult:
        speed = paces.get(pace_key(case, machine, config), {})
        result = trained(config, case, share, datasets[case.data], speed)
        notify_progress("study", next(count), total, case.title)
        return result

    results: list[CaseResult] = []
    for wave in waves(config, [case for case in cases if case not in raced]):
        results += side_by_side([partial(perform, case, 1.0) for case in wave], lanes)
    for share, _ in steps:
        rung: list[CaseResult] = []
        for wave in waves(config, raced):
            rung += side_by_side([partial(perform, case, share) for case in wave], lanes)
        results += rung
        if share < 1:
            best = survivors(config, rung)
            raced = [case for case in raced if (case.variant, case.arm) in best]
    return results


def pace_key(case: Case, machine: str, config: StudyConfig) -> str:
    """Equal for cases of the same speed."""
    return repr((case.data, case.pace(machine, config.measuring)))


def side_by_side(jobs: Sequence[Callable[[], T]], lanes: int) -> list[T]:
    """The results of some jobs, in their order, so many at once; the first failure, of whichever job."""
    # A job is called from a thread of its own, in which Prefect shall know whose flow it is.
    pool = ThreadPoolExecutor(lanes)
    try:
        futures = [pool.submit(copy_context().run, job) for job in jobs]
        for future in wait(futures, return_when=FIRST_EXCEPTION).done:
            future.result()
        return [future.result() for future in futures]
    finally:
        # After a failure or a signal nothing more begins. What runs is not waited for here: Prefect asks it
        # to stop only once this flow has been left.
        pool.shutdown(wait=False, cancel_futures=True)


def dataset(run: Run) -> Result:
    """From a run's sources to shards. ValueError: its version is on hold; a study compares on none such."""
    context = RunContext(run.store, run.name, run.name, run.expect)
    result: Result = submit_dataset(run, context).dataset.result()
    check_released(open_store(run.store, writable=False), run.name, [result.open()])
    return result


def measured_pace(case: Case, data: Result, config: PaceConfig) -> dict[str, Any]:
    """How fast a case's training learns, measured once; pace.json."""
    context = replace(case.context, name=f"{case.name}-pace")
    speed: Result = measure_pace.submit(data, config=config, context=context).result()
    return speed.open().json("pace.json")


def trained(config: StudyConfig, case: Case, share: float, data: Result, speed: dict[str, Any]) -> CaseResult:
    """Train a case with a share of its budget, evaluate it where a measure needs that, take the figures."""
    context = case.context if share == 1 else replace(case.context, name=f"{case.name}-{share:.3g}")
    chosen = case.train(speed.get("images_per_second"), share)
    encoding = case.run.encode
    latents = [encode.submit(data, config=encoding, context=context)] if ENCODE.is_enabled(encoding) else []
    model: Result = train.submit(data, *latents, config=chosen, context=context).result()
    documents: dict[str, Any] = {"train": model.open().manifest.statistics, "pace": speed}
    paths = [path for each in config.measures_of(case.arm) for path in (each.figure, each.questions) if path]
    evaluation = ""
    if any(path.startswith("evaluation.") for path in paths):
        report: Result = evaluate.submit(model, data, config=case.run.evaluate, context=context).result()
        documents["evaluation"] = report.open().json("report.json")
        evaluation = report.fingerprint
    return CaseResult(
        variant=case.variant,
        arm=case.arm,
        seed=case.seed,
        share=share,
        images=chosen.images,
        model=model.fingerprint,
        digest=model.digest,
        evaluation=evaluation,
        figures={path: figure_of(documents, path) for path in paths},
    )
