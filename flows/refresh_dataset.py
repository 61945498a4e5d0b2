"""Bring a dataset up to date: collect to shard, and say so when it changed."""

from dataclasses import replace

from prefect import flow
from prefect.runtime import deployment, flow_run

from flows.dataset import submit_dataset
from flows.events import REFRESHED, emit, version
from flows.report.names import refresh_name, to_the_minute
from flows.report.task_runner import task_runner
from flows.retention import apply_retention
from flows.step import Result, RunContext
from flows.tasks import results
from stages.artifacts.reference import refer, references
from stages.config.run import DatasetRun
from stages.store import open_store


@flow(name="refresh_dataset", flow_run_name=refresh_name, task_runner=task_runner())
def refresh_dataset(run: DatasetRun, edition: str = "") -> dict[str, Result]:
    """Collect what is new, and make the dataset again where that changes it.

    Args:
        run: everything that can be chosen of a dataset.
        edition: names the collection in time; failed URLs are asked again for each new one. Empty: when the
            run of a deployment was expected to start, which its retries keep; else run.collect.edition.
    """
    config = replace(run.collect, edition=edition or expected_start() or run.collect.edition)
    context = RunContext.of(run)
    finished = results(*submit_dataset(replace(run, collect=config), context))
    announce(context, finished["shard"], config.edition)
    apply_retention(run.retain, context)
    return finished


def expected_start() -> str:
    """When a deployment's run was expected to start, "2026-11-21T03:00:00Z"; empty without deployment."""
    if not deployment.id:
        return ""
    return flow_run.scheduled_start_time.strftime("%Y-%m-%dT%H:%M:%SZ")


def announce(context: RunContext, dataset: Result, edition: str = "") -> bool:
    """Emit `dataset.refreshed` unless this dataset was the last one announced under the name; whether it did.

    What was announced is a reference of its own, written after the event: a run that dies between the two
    announces again, so that no new dataset goes unheard. The payload names the dataset for who acts on it.

    Args:
        context: where results live, and the name.
        dataset: what there is now.
        edition: of its collection.
    """
    store, name = open_store(context.store), f"datasets/{context.name}"
    announced = references(store, f"announced/{name}")
    if announced and announced[-1].digest == dataset.digest:
        return False
    number = version(context, name, dataset)
    words = ["refresh_dataset", context.name, to_the_minute(edition), number]
    emit(REFRESHED, context, name, dataset, dataset=number, cause=" ".join(filter(None, words)))
    refer(store, f"announced/{name}", dataset.open())
    return True
