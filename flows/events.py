"""Events that chain flows: what a flow has brought, said to whoever waits for it.

An event is about a reference, `datasets/birds`, in a store; automations match both, since another project on
the same server may use the same name. Its payload names the result and what caused it, for the run that it
starts.
"""

from collections.abc import Mapping

from prefect.events import emit_event

from flows.step import Result, RunContext

REFRESHED = "dataset.refreshed"
"""A dataset has a new version that may be learned from."""
ON_HOLD = "dataset.held"
"""A dataset has a new version that does not meet the run's expectations, and waits for approval."""
ENCODED = "dataset.encoded"
"""A dataset has latents or text states."""
TRAINED = "model.trained"
"""A model has a new version."""
EVALUATED = "model.evaluated"
"""A model's version has a report."""
STORE = "sdflow.store"
"""Label of an event's resource: URL of the store, as the run's config spells it."""


def emit(event: str, context: RunContext, reference: str, result: Result, **facts: str) -> None:
    """Emit an event about a reference.

    Args:
        event: one of those above.
        context: where results live.
        reference: what the result is filed under, "datasets/birds".
        result: what there is now.
        facts: what else the payload names, as `cause`, `dataset`, `held`.
    """
    resource: Mapping[str, str] = {
        "prefect.resource.id": reference,
        "prefect.resource.name": reference,
        STORE: context.store,
    }
    payload = {"result": f"{result.stage}/{result.fingerprint}", "digest": result.digest, **facts}
    emit_event(event=event, resource=dict(resource), payload={**payload, "store": context.store})
