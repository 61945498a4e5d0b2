"""Events that chain flows: what a flow has brought, said to whoever waits for it.

An event is about a reference, `datasets/birds`, in a store; automations match both, since another project on
the same server may use the same name. Its payload names the result and what caused it, for the run that it
starts. `flows/chain.py` says which flow waits for which event.
"""

from pathlib import Path
from typing import Any

import httpx
from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.events import Event, RelatedResource, Resource
from prefect.runtime import flow_run
from prefect.tasks import exponential_backoff

from flows.step import Result, RunContext
from stages.artifacts.reference import references
from stages.foreign_text import escape
from stages.store import open_store

REFRESHED = "dataset.refreshed"
"""A dataset has a new version that may be learned from. Payload: `dataset`."""
ON_HOLD = "dataset.held"
"""A dataset has a new version that does not meet the run's expectations, and waits for approval."""
ENCODED = "dataset.encoded"
"""A dataset has latents or text states. Payload: `dataset`, `latents`."""
TRAINED = "model.trained"
"""A model has a new version. Payload: `model`, `dataset`, and `latents` where it was trained on them."""
EVALUATED = "model.evaluated"
"""A model's version has a report. Payload: `evaluation`, `model`, `dataset`."""
STORE = "sdflow.store"
"""Label of an event's resource: URL of the store, as `store_label` spells it."""


def store_label(store: str) -> str:
    """A store as events and deployments name it, the same from every working folder: a local one by its
    absolute path, a bucket by its URL."""
    scheme, separator, rest = store.partition("://")
    if separator and scheme != "file":
        return store.rstrip("/")
    return str(Path(rest if separator else store).expanduser().resolve())


def version(context: RunContext, reference: str, result: Result) -> str:
    """A result as events and runs name it: "datasets/birds@7" where it is filed so, else "STAGE/FINGERPRINT".

    Args:
        context: where results live.
        reference: what it may be filed under, "datasets/birds".
        result: of a flow.
    """
    history = references(open_store(context.store, writable=False), reference)
    same = [entry for entry in history if entry.fingerprint == result.fingerprint]
    return str(same[-1]) if same else f"{result.stage}/{result.fingerprint}"


def emit(event: str, context: RunContext, reference: str, result: Result, **facts: str) -> None:
    """Emit an event about a reference; when this returns the server has it.

    A flow that finds its server away tries again for some ten minutes, as a task of its own.

    Args:
        event: one of those above.
        context: where results live.
        reference: whose event it is, "datasets/birds".
        result: what there is now.
        facts: what else the payload names: `cause`, and what is said at the event's name above.

    Raises:
        httpx.HTTPError: the server is away, or refuses it.
    """
    store = store_label(context.store)
    payload = {"result": f"{result.stage}/{result.fingerprint}", "digest": result.digest, **facts}
    resource = {"prefect.resource.id": reference, "prefect.resource.name": reference, STORE: store}
    run = {
        "prefect.resource.id": f"prefect.flow-run.{flow_run.id}",
        "prefect.resource.name": flow_run.name,
        "prefect.resource.role": "flow-run",
    }
    record = Event(
        event=event,
        resource=Resource(resource),
        related=[RelatedResource(run)] if flow_run.id else [],
        payload={**payload, "store": store},
    )
    post = _post_patiently.with_options(task_run_name=event) if flow_run.id else _post
    post(record.model_dump(mode="json"))


def _post(event: dict[str, Any]) -> None:
    # `prefect.events.emit_event` only queues an event: a process that dies would take it along.
    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[event])


def _server_is_away(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), httpx.ConnectError)


_post_patiently = task(
    name="emit",
    retries=7,
    retry_delay_seconds=exponential_backoff(5),  # 5, 10, ... 320 s
    retry_condition_fn=_server_is_away,
    cache_policy=NO_CACHE,
    persist_result=False,
)(_post)


def log_cause(cause: str) -> None:
    """Say in a run's log which refresh started it; nothing where it was started by hand."""
    if cause:
        get_run_logger().info("started by %s", escape(cause))
