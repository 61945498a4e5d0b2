"""The chain: a refresh starts the encoding, or the training, of what it has made, and so on to the report.

Each link is a deployment of one flow, started by the event of the link before it, so that each runs in its
own work pool and is retried alone. `links` is plain data; deployments and automations are made of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flows.events import ENCODED, REFRESHED, TRAINED
from flows.steps import ENCODE
from sdmodel.config.adapter import adapter_of
from sdmodel.config.limits import Config
from stages.config.run import ON_BACKGROUND, DatasetRun, Run

CAUSE = {"cause": "{{ event.payload.cause }}"}


@dataclass(frozen=True, kw_only=True)
class Link:
    """One flow of a run's chain, as it is deployed."""

    flow: str
    """Prefect's name of the flow."""
    entrypoint: str
    """Module and function, "flows.train_model:train_model"."""
    suffix: str
    """What the deployment's name ends in, after the run's: "nightly", "on-refresh", ..."""
    pool: Literal["data", "gpu"]
    """The work pool."""
    parameters: Mapping[str, Any]
    """The flow's parameters as JSON: of configs only what differs from their defaults."""
    event: str = ""
    """The event that starts it; empty: none does."""
    reference: str = ""
    """What that event is about, "datasets/birds": the id of its resource."""
    event_parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    """Parameter -> Prefect's template that takes it out of the event."""


def links(run: Run) -> tuple[Link, ...]:
    """The flows of a run, in the order in which they start each other; the last is all of it as one flow.

    Args:
        run: whose configs the flows get. Its store stands as it is in their parameters.
    """
    dataset, model = f"datasets/{run.name}", f"models/{run.name}"
    place = {"name": run.name, "store": run.store}
    encoded = ENCODE.is_enabled(run.encode)
    by_event = {"dataset": "{{ event.payload.dataset }}", **CAUSE}
    refresh = Link(
        flow="refresh_dataset",
        entrypoint="flows.refresh_dataset:refresh_dataset",
        suffix="nightly",
        pool="data",
        parameters={"run": plain(run.dataset_run)},
    )
    encode = Link(
        flow="encode",
        entrypoint="flows.stage_flows:encode",
        suffix="on-refresh",
        pool="gpu",
        parameters={"dataset": dataset, **place, **_config(run.encode)},
        event=REFRESHED,
        reference=dataset,
        event_parameters=by_event,
    )
    train = Link(
        flow="train_model",
        entrypoint="flows.train_model:train_model",
        suffix="on-encode" if encoded else "on-refresh",
        pool="gpu",
        parameters={"dataset": dataset, **place, **_config(run.train)},
        event=ENCODED if encoded else REFRESHED,
        reference=dataset,
        event_parameters={**by_event, "latents": "{{ event.payload.latents }}"} if encoded else by_event,
    )
    evaluate = Link(
        flow="evaluate_model",
        entrypoint="flows.evaluate_model:evaluate_model",
        suffix="on-train",
        pool="gpu",
        parameters={"model": model, **place, **_config(run.evaluate)},
        event=TRAINED,
        reference=model,
        event_parameters={"model": "{{ event.payload.model }}", **CAUSE},
    )
    whole = Link(
        flow="pipeline",
        entrypoint="flows.pipeline:pipeline",
        suffix="whole",
        pool="gpu",
        parameters={"run": plain(run)},
    )
    return (refresh, *([encode] if encoded else []), train, evaluate, whole)


def plain(config: Config) -> dict[str, Any]:
    """A config as JSON, without what is a default; read back it is the same config."""
    kind: Any = type(config)
    values: dict[str, Any] = adapter_of(kind).dump_python(config, mode="json", exclude_defaults=True)
    if isinstance(config, DatasetRun):  # it hands its background to these itself
        for stage in ON_BACKGROUND:
            block = values.get(stage, {})
            block.pop("background", None)
            if not block:
                values.pop(stage, None)
    return values


def _config(config: Config) -> dict[str, Any]:
    values = plain(config)
    return {"config": values} if values else {}
