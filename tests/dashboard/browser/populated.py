"""A store in which every kind of page and state has an example, for a browser that looks at all of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flows.study.record import study_record
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import ON_HOLD, refer
from stages.artifacts.status import Status, TrainingStatus, status_log
from stages.artifacts.study import add_study
from stages.artifacts.tombstone import Tombstone
from stages.artifacts.verification import verify_and_record
from stages.record import uid_of
from stages.store import Store
from stages.takedown.records import Name, forget
from tests.dashboard.pages.test_models import files as model_files
from tests.dashboard.results import Choices, averaged, evaluation, model
from tests.flows.study.studies import results
from tests.stages import versions
from tests.stages.handmade import Picture, collection, save

HOSTILE = (
    '<img src=x onerror="window.owned=1"><script>window.owned=1</script>',
    "![x](http://evil.example/x.png) [a](javascript:window.owned=1) | ` * _",
    "\x1b[31mred\x07 \u202egnp.exe \x00 {{ 7*7 }} {% raw %}",
    "\" onmouseover=window.owned=1 x='",
)
"""Captions and addresses that would do harm if they could."""
TIMEOUTS = 130
"""Rows of images/birds that were left out for one reason: more than two pages of a gallery."""


def populate(store: Store, line: dict[str, Artifact]) -> Sequence[str]:
    """Fill a copy of the line's store.

    Args:
        store: is changed.
        line: the artifact of each stage in it.

    Returns:
        Addresses of pages whose state is unusual: damaged, dropped, on hold, taken down.
    """
    dataset = line["shard"]
    _hostile(store)
    _birds(store)
    _models(store, dataset)
    add_study(store, study_record(results({"rnn": [0.10, 0.9], "gru": [0.44, 0.46]})))
    refer(store, "datasets/held", line["filter"], {ON_HOLD: ["rows: 3 of 10"]})
    _at_work(store)
    return [*_dropped(store, line["filter"]), *_damaged(store, dataset), *_taken_down(store)]


def hostile_pictures(edition: int) -> list[Picture]:
    """Pictures with such captions and addresses; those of the second edition are partly others."""
    random = np.random.default_rng(edition)
    return [
        Picture(f"https://evil.example/{text}", save(random.integers(0, 255, (16, 16, 3), np.uint8)), [text])
        for text in HOSTILE[: 5 - edition]
    ]


def _hostile(store: Store) -> None:
    for edition in (1, 2):
        refer(store, "images/hostile", collection(store, [hostile_pictures(edition)]))


def _birds(store: Store) -> None:
    """Tables alone: a collection that lost many rows for one reason, in two versions, with datasets."""
    late = [versions.reject(f"late {number}", "timeout") for number in range(TIMEOUTS)]
    for refused in (late[:1], late):
        images = versions.collection(store, [versions.image("robin"), versions.image("wren")], refused)
        manifest = images.manifest
        funnel = replace(
            manifest.funnel, rows_in=2 + len(refused), rows_out=2, reasons={"timeout": len(refused)}
        )
        counted = replace(manifest, fingerprint=manifest.fingerprint[::-1], funnel=funnel)
        store.create(f"manifests/collect/{counted.fingerprint}.json", counted.to_json())
        images = Artifact.open(store, "collect", counted.fingerprint)
        refer(store, "images/birds", images)
        refer(store, "datasets/birds", versions.dataset(store, images, ["robin"]))


def _models(store: Store, dataset: Artifact) -> None:
    """Two versions of one name with curves and samples, measured, and an average of the second."""
    report = {"denoising": {"mse": 0.25}, "nearest": {"uids": [], "distances": []}}
    for seed in (1, 2):
        trained = model(store, dataset, Choices(seed=seed), model_files(seed), warnings=["a warning"])
        refer(store, "models/drawn", trained)
        evaluation(store, trained, dataset, report, Choices(seed=seed))
    refer(store, "models/averaged", averaged(store, trained))


def _at_work(store: Store) -> None:
    status = Status(
        stage="train", fingerprint="ab" * 32, run="birds", host="a-host", started="2026-01-01T00:00:00Z",
        updated="2026-01-01T00:01:00Z", done=3_000, total=9_000, unit="images", note="step 30",
        per_second=50.0, parts_made=0, parts_found=0, parts_total=0, funnel=None,
        training=TrainingStatus.of({"loss": 0.25}, 50.0, 130.0), wait=None, warnings=2,
    )  # fmt: skip
    assert status_log(store, status.stage, status.fingerprint).append(1, status.to_json())


def _dropped(store: Store, like: Artifact) -> list[str]:
    manifest = replace(like.manifest, fingerprint="cd" * 32, files={})
    tombstone = Tombstone(manifest, 2, 1000, ("datasets/old@1",), "2026-01-02T03:04:05", "retention of old")
    store.create(tombstone.key, tombstone.to_json())
    return [f"/artifacts/filter/{manifest.fingerprint}"]


def _damaged(store: Store, dataset: Artifact) -> list[str]:
    files = {"model/config.json": json.dumps({"damaged": True}).encode()}
    trained = model(store, dataset, Choices(seed=3), files)
    below = averaged(store, trained)
    refer(store, "models/damaged", below)
    path = Path(store.url) / trained.entry("model/config.json").key
    path.chmod(0o644)
    path.write_bytes(b"{}")
    verify_and_record(trained)
    return [f"/artifacts/train/{trained.fingerprint}", f"/artifacts/average/{below.fingerprint}"]


def _taken_down(store: Store) -> list[str]:
    uid = uid_of("test", f"https://evil.example/{HOSTILE[3]}")
    record = forget(store, [Name("uid", uid)], HOSTILE[0])
    return [f"/images/{uid}", f"/takedowns/{record.number}", f"/takedowns/{record.number}/holders"]
