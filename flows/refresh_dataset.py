"""Bring a dataset up to date: collect to shard, and say so when it changed."""

from dataclasses import replace

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import deployment, flow_run
from prefect.states import Completed

from flows.announcement import announce
from flows.dataset import submit_dataset
from flows.report.names import refresh_name, to_the_minute
from flows.report.task_runner import task_runner
from flows.retention import apply_retention
from flows.step import Result, RunContext, entry_on_hold, on_hold_message
from flows.tasks import results
from stages.config.run import DatasetRun
from stages.store import open_store


@flow(name="refresh_dataset", flow_run_name=refresh_name, task_runner=task_runner())
def refresh_dataset(run: DatasetRun, edition: str = "") -> "dict[str, Result] | State[dict[str, Result]]":
    """Collect what is new, and make the dataset again where that changes it.

    A version that is not what the run expects is on hold: the run ends in the state On hold, and what waits
    for new versions hears of it once it is approved.

    Args:
        run: everything that can be chosen of a dataset.
        edition: names the collection in time; failed URLs are asked again for each new one. Empty: when the
            run of a deployment was expected to start, which its retries keep; else run.collect.edition.
    """
    config = replace(run.collect, edition=edition or expected_start() or run.collect.edition)
    context = RunContext.of(run)
    finished = results(*submit_dataset(replace(run, collect=config), context))
    dataset = finished["shard"]
    announce(context, dataset, f"refresh_dataset {context.name} {to_the_minute(config.edition)}".rstrip())
    apply_retention(run.retain, context)
    entry = entry_on_hold(open_store(context.store), context.name, dataset.fingerprint)
    if entry is not None:  # nothing has failed that another try could mend
        return Completed(name="On hold", message=on_hold_message(entry), data=finished)
    return finished


def expected_start() -> str:
    """When a deployment's run was expected to start, "2026-11-21T03:00:00Z"; empty without deployment."""
    if not deployment.id:
        return ""
    return flow_run.scheduled_start_time.strftime("%Y-%m-%dT%H:%M:%SZ")
