"""The chain's events on a real server: what each says, that none is lost with its process, and that one which
comes twice costs nothing."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from flows import events
from flows.chain import Link, links
from flows.events import ENCODED, EVALUATED, REFRESHED, TRAINED, store_label
from stages.artifacts.reference import references, resolve
from stages.config.encode import EncodeConfig
from stages.config.run import Run
from stages.store import open_store
from tests.flows.api import ask
from tests.frozen import autoencoder

CAUSE = "refresh_dataset tiny 2026-11-29T03:00 datasets/tiny@1"


def test_a_store_has_one_name_in_events_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    home = str(tmp_path.resolve() / "store")
    for spelling in ("store", "./store", str(tmp_path / "store"), f"file://{tmp_path}/store/"):
        assert store_label(spelling) == home
    assert store_label("s3://bucket/birds/") == store_label("s3://bucket/birds") == "s3://bucket/birds"


@pytest.mark.prefect
@pytest.mark.matrix
def test_each_event_starts_the_next_link_and_names_the_refresh(
    server: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = replace(run, encode=EncodeConfig(autoencoder=str(autoencoder(tmp_path / "vae")), size=8))
    refresh, encode, train, evaluate, _ = links(run)
    store = open_store(run.store)

    flow_of(refresh)(run.dataset_run, edition="2026-11-29T03:00:00Z")
    (refreshed,) = heard(server, run, REFRESHED, 1)
    assert (refreshed["dataset"], refreshed["cause"]) == ("datasets/tiny@1", CAUSE)

    started(encode, refreshed)
    (encoded,) = heard(server, run, ENCODED, 1)
    assert (encoded["dataset"], encoded["latents"], encoded["cause"]) == (
        "datasets/tiny@1",
        encoded["result"],
        CAUSE,
    )

    # The process dies between its result and the event: the same run again emits it, and trains nothing.
    with dying(monkeypatch), pytest.raises(KeyboardInterrupt):
        started(train, encoded)
    assert len(references(store, "models/tiny")) == 1
    assert started(train, encoded)["train"].cached
    (trained,) = heard(server, run, TRAINED, 1)
    assert {key: trained[key] for key in ("model", "dataset", "latents", "cause")} == {
        "model": "models/tiny@1",
        "dataset": "datasets/tiny@1",
        "latents": encoded["latents"],
        "cause": CAUSE,
    }

    # An event that comes twice: no second training, and no second version of the model.
    assert started(train, encoded)["train"].cached
    assert heard(server, run, TRAINED, 2)[1] == trained
    assert not started(evaluate, trained)["evaluate"].cached
    assert started(evaluate, trained)["evaluate"].cached
    assert heard(server, run, EVALUATED, 2)[0]["evaluation"] == "evaluations/tiny@1"
    assert [len(references(store, f"{kind}/tiny")) for kind in ("models", "evaluations")] == [1, 1]

    model = resolve(store, "models/tiny")
    assert model.manifest.inputs["latents"]["fingerprint"] in encoded["latents"]
    report = resolve(store, "evaluations/tiny")
    dataset = resolve(store, "datasets/tiny")
    assert report.manifest.inputs["model"]["digest"] == model.digest
    assert report.manifest.inputs["dataset"]["digest"] == dataset.digest
    assert dataset.fingerprint in {ancestor.fingerprint for ancestor in model.ancestors()}


def flow_of(link: Link) -> Any:
    module, _, function = link.entrypoint.partition(":")
    return getattr(import_module(module), function)


def started(link: Link, payload: dict[str, str]) -> Any:
    """A link's results, run as an automation starts it."""
    event = SimpleNamespace(payload=payload)
    filled = {name: jinja2.Template(text).render(event=event) for name, text in link.event_parameters.items()}
    return flow_of(link)(**{**json.loads(json.dumps(link.parameters)), **filled})


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever emits an event is interrupted before it is sent."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(events, "get_client", interrupted)
        yield


def heard(server: str, run: Run, event: str, wanted: int) -> list[dict[str, str]]:
    """Payloads of the events of a name in a run's store, oldest first, once there are enough."""
    question = {"filter": {"event": {"name": [event]}, "order": "ASC"}}
    until = time.monotonic() + 300
    while time.monotonic() < until:
        answers = ask(server, "events/filter", question)["events"]
        payloads = [each["payload"] for each in answers if each["payload"]["store"] == run.store]
        if len(payloads) >= wanted:
            return payloads
        time.sleep(0.5)
    raise AssertionError(f"{event} did not come")
