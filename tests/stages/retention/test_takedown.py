"""What traces and take-downs say of pictures whose dataset was dropped: not that nobody holds them."""

import hashlib
import io
import json
import uuid
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image

from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.gc import collect_garbage
from stages.artifacts.reference import refer, resolve
from stages.config.retention import RetainConfig
from stages.config.run import DedupConfig, FilterConfig, ScoreConfig, ShardConfig
from stages.dedup import dedup
from stages.filter import filter_
from stages.output import Output
from stages.report.trace import as_lines, trace_row
from stages.retention.retain import retain
from stages.score import score
from stages.shard import shard
from stages.stage import Stats, stage
from stages.store import Store, open_store
from stages.takedown.holders import holders
from stages.takedown.purge import purge
from stages.takedown.records import Name, forget
from stages.verify import verify_store
from tests.stages.handmade import Picture, collection, save
from tests.stages.holding import DRAWING, Nothing
from tests.stages.retention.birds import Seed

NOISE = np.random.default_rng(11)
GONE, STAYS = (
    Picture(f"https://a.org/{n}.png", save(NOISE.integers(0, 256, (16, 16, 3), np.uint8)), ("a bird",))
    for n in range(2)
)
SHA256 = hashlib.sha256(GONE.data).hexdigest()


@stage(version=1, kind="evaluation", name="evaluate")
def evaluated(model: Artifact, dataset: Artifact, config: Nothing, out: Output) -> Stats:
    report = {"nearest": {"uids": [GONE.uid]}, "reconstruction": {"split": "train"}}
    out.write("report.json").write_text(json.dumps(report))
    out.write("nearest.png").write_bytes(DRAWING)
    out.write("grid.png").write_bytes(DRAWING)
    return Stats(Funnel(0, 0))


@pytest.fixture
def store() -> Store:
    """Two versions, of which the first, with a picture more, was dropped; a model and its evaluation."""
    store = open_store(f"memory://{uuid.uuid4().hex}")
    for pictures in ([GONE, STAYS], [STAYS]):
        images = collection(store, [pictures])
        refer(store, "images/birds", images)
        duplicates = dedup(images, DedupConfig(workers=1), store=store)
        scores = score(images, None, ScoreConfig(), store=store)
        selection = filter_(images, duplicates, scores, None, FilterConfig(), store=store)
        dataset = shard(images, selection, ShardConfig(validation=0, test=0, workers=1), store=store)
        refer(store, "datasets/birds", dataset)
        if GONE in pictures:
            model = _model(dataset, Seed(), store=store)
            refer(store, "models/birds", model)
            refer(store, "evaluations/birds", evaluated(model, dataset, Nothing(), store=store))
    retain(store, ["datasets/birds"], RetainConfig(last=1), grace=timedelta(0), watch=0)
    collect_garbage(store, grace=timedelta(0))
    return store


@stage(version=1, kind="model", name="train")
def _model(dataset: Artifact, config: Seed, out: Output) -> Stats:
    out.write("model/weights").write_bytes(b"weights")
    return Stats(Funnel(1, 1))


def test_who_may_have_learned_from_it_is_listed(store: Store):
    takedown = forget(store, [Name("sha256", SHA256)], "asked")
    listed = {holder.references: holder for holder in holders(store, set(takedown.sha256s))}
    assert set(listed) == {("models/birds@1",), ("evaluations/birds@1",)}
    for holder in listed.values():
        assert [tombstone.references for tombstone in holder.unasked] == [("datasets/birds@1",)]
        assert holder.rows == 0


def test_a_trace_says_what_cannot_be_asked(store: Store):
    trace = trace_row(store, STAYS.name)
    (event,) = [event for event in trace["rows"][0]["events"] if event["stage"] == "train"]
    assert event["what"] == "perhaps made from it"
    assert "datasets/birds@1 was dropped on" in event["dropped"][0]
    assert any("perhaps made from it: dropped datasets/birds@1" in line for line in as_lines(trace))
    with pytest.raises(ValueError, match=r"1 more collections were dropped"):
        trace_row(store, GONE.name)


def test_a_purge_takes_drawings_of_which_nobody_can_tell(store: Store):
    purge(store, forget(store, [Name("sha256", SHA256)], "asked"))
    evaluation = resolve(store, "evaluations/birds")
    for name in ("nearest.png", "grid.png"):
        with Image.open(io.BytesIO(evaluation.read(name))) as drawing:
            assert np.ptp(np.asarray(drawing)) == 0
    assert verify_store(store).damaged == 0
