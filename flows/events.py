"""Events that chain flows: what a flow has brought, said to whoever waits for it.

An event is about a reference, `datasets/birds`, in a store; automations match both, since another project on
the same server may use the same name. Its payload names the result and what caused it, for the run that it
starts. `flows/chain.py` says which flow waits for which event.
"""

from collections.abc import Mapping
from pathlib import Path

from prefect import get_run_logger
from prefect.events import emit_event

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
    """A store as events name it: a folder by its absolute path, anything else as it is."""
    if "://" in store:
        return store
    return str(Path(store).expanduser().absolute())


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
    """Emit an event about a reference.

    Args:
        event: one of those above.
        context: where results live.
        reference: whose event it is, "datasets/birds".
        result: what there is now.
        facts: what else the payload names: `cause`, and what is said at the event's name above.
    """
    store = store_label(context.store)
    resource: Mapping[str, str] = {
        "prefect.resource.id": reference,
        "prefect.resource.name": reference,
        STORE: store,
    }
    payload = {"result": f"{result.stage}/{result.fingerprint}", "digest": result.digest, **facts}
    emit_event(event=event, resource=dict(resource), payload={**payload, "store": store})


def log_cause(cause: str) -> None:
    """Say in a run's log which refresh started it; nothing where it was started by hand."""
    if cause:
        get_run_logger().info("started by %s", escape(cause))
