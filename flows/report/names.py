"""What people call a flow run: "birds 2026-11-29T03:00", "birds on datasets/birds@7".

Prefect calls these functions when a run starts, with its parameters in `prefect.runtime`, and once more when
it is retried. A run's name is for people alone: where none can be made the run is called by its parameter
`name`, or by its flow, and goes on.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from functools import wraps
from typing import Any

from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from stages.artifacts.names import is_name
from stages.artifacts.reference import number_of, references
from stages.fingerprint import short_hash
from stages.foreign_text import escape
from stages.redaction import redact
from stages.store import open_store

LONGEST = 200
"""Characters of a run's name."""
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(?:Z|\+00:00)?")
_FINGERPRINT = re.compile(r"(?:([a-z0-9_-]+)/)?([0-9a-f]{6,64})")


def _run_name(name: Callable[[Mapping[str, Any]], str]) -> Callable[[], str]:
    """A function that Prefect can ask, of one that takes a run's parameters; it raises nothing."""

    @wraps(name)
    def named() -> str:
        parameters: Mapping[str, Any] = flow_run.parameters
        try:
            return escape(name(parameters), LONGEST)
        except Exception as error:  # noqa: BLE001 -- whatever a store answers: a name is not worth a run
            words = escape(redact(str(error)), 2000)
            get_run_logger().warning("the run has a plain name: %s: %s", type(error).__name__, words)
            return escape(parameters.get("name") or flow_run.flow_name, LONGEST)

    return named


@_run_name
def refresh_name(parameters: Mapping[str, Any]) -> str:
    """NAME EDITION, "birds 2026-11-29T03:00"; where no edition is given, the minute at which the run was
    expected to start, UTC."""
    return f"{parameters['run'].name} {to_the_minute(parameters.get('edition') or _expected_start())}"


@_run_name
def pipeline_name(parameters: Mapping[str, Any]) -> str:
    """NAME and the minute at which the run was expected to start (UTC), "birds 2026-11-29T03:00"."""
    return f"{parameters['run'].name} {_expected_start()}"


@_run_name
def train_name(parameters: Mapping[str, Any]) -> str:
    """NAME and the dataset's version, "birds on datasets/birds@7"."""
    name = parameters["name"]
    return f"{name} on {version_of(parameters['store'], parameters['dataset'], f'datasets/{name}')}"


@_run_name
def evaluate_name(parameters: Mapping[str, Any]) -> str:
    """NAME and the model's version, "birds of models/birds@3"."""
    name = parameters["name"]
    return f"{name} of {version_of(parameters['store'], parameters['model'], f'models/{name}')}"


@_run_name
def stage_name(parameters: Mapping[str, Any]) -> str:
    """NAME alone: the flow says which stage."""
    return parameters["name"]


@_run_name
def study_name(parameters: Mapping[str, Any]) -> str:
    """NAME of the study."""
    return parameters["config"].name


def to_the_minute(edition: str) -> str:
    """An edition without its seconds where it is a moment in UTC; else as it stands."""
    moment = _MOMENT.fullmatch(edition)
    return moment[1] if moment else edition


def version_of(store: str, text: str, likely: str) -> str:
    """What people call an artifact: "datasets/birds@7", or "shard/0123456789ab" without such a name.

    Args:
        store: URL of where it lies.
        text: a reference, which stays one with its number, or a fingerprint, alone or behind "STAGE/".
        likely: the reference whose history is looked through for a fingerprint.

    Raises:
        ValueError: nothing of the kind is there.
    """
    opened = open_store(store, writable=False)
    fingerprint = _FINGERPRINT.fullmatch(text)
    if fingerprint is None:
        return number_of(opened, text)
    stage, digits = fingerprint.groups()
    history = references(opened, likely) if is_name(likely) else []
    for entry in reversed(history):
        if entry.fingerprint.startswith(digits) and stage in (None, entry.stage):
            return str(entry)
    return f"{stage}/{short_hash(digits)}" if stage else short_hash(digits)


def _expected_start() -> str:
    """When the run was expected to start, which its retries keep, to the minute: "2026-11-29T03:00", UTC."""
    return flow_run.scheduled_start_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
