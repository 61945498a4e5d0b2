"""Bring a dataset up to date: collect to shard, and say so when it changed."""

from dataclasses import replace

from prefect import flow
from prefect.events import emit_event
from prefect.runtime import deployment, flow_run

from flows.dataset import submit_dataset
from flows.report.progress import task_runner
from flows.step import Result, RunContext
from flows.tasks import results
from stages.artifacts.reference import refer, references
from stages.config.run import Run
from stages.store import open_store

REFRESHED = "dataset.refreshed"
"""The event that a new dataset emits, about datasets/NAME."""


@flow(name="refresh_dataset", task_runner=task_runner())
def refresh_dataset(run: Run, edition: str = "") -> dict[str, Result]:
    """Collect what is new, and make the dataset again where that changes it.

    Args:
        run: everything that can be chosen; train and evaluate are not used.
        edition: names the collection in time; failed URLs are asked again for each new one. Empty: when the
            run of a deployment was expected to start, which its retries keep; else run.collect.edition.
    """
    config = replace(run.collect, edition=edition or expected_start() or run.collect.edition)
    context = RunContext.of(run)
    finished = results(*submit_dataset(replace(run, collect=config), context))
    announce(context, finished["shard"])
    return finished


def expected_start() -> str:
    """When a deployment's run was expected to start, "2026-11-21T03:00:00Z"; empty without deployment."""
    if not deployment.id:
        return ""
    return flow_run.scheduled_start_time.strftime("%Y-%m-%dT%H:%M:%SZ")


def announce(context: RunContext, dataset: Result) -> bool:
    """Emit `dataset.refreshed` unless this dataset was the last one announced under the name; whether it did.

    What was announced is a reference of its own, written after the event: a run that dies between the two
    announces again, so that no new dataset goes unheard. The payload names the dataset for who acts on it.
    """
    store, name = open_store(context.store), f"datasets/{context.name}"
    announced = references(store, f"announced/{name}")
    if announced and announced[-1].digest == dataset.digest:
        return False
    emit_event(
        event=REFRESHED,
        resource={"prefect.resource.id": name, "prefect.resource.name": context.name},
        payload={
            "dataset": f"{dataset.stage}/{dataset.fingerprint}",
            "digest": dataset.digest,
            "store": context.store,
        },
    )
    refer(store, f"announced/{name}", dataset.open())
    return True
