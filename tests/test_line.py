"""The line without Prefect: every row accounted for from stage to stage, and nothing done twice."""

import dataclasses
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest
from rich.console import Console

from flows.config.file import read_run
from flows.run.local import result_of
from flows.run.terminal import Terminal
from flows.steps import STEPS
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import resolve
from stages.config.run import Run
from stages.demo.rates import LABELS, UNCAPTIONED
from stages.reasons import Reason
from stages.store import open_store
from tests.conftest import ROWS, Line

pytestmark = pytest.mark.slow

LINE = tuple(stage for stage in STEPS if stage != "encode")  # the demo has no frozen encoders


@pytest.fixture
def run(line: Line) -> Run:
    return read_run(line.config, store=str(line.store))


def result(run: Run, stage: str = "evaluate") -> Artifact:
    return result_of(STEPS, stage, run, Terminal(Console(quiet=True)), upstream=True)


def kept(line: Line) -> dict[str, set[str]]:
    """What the store holds of each stage: manifests and parts."""
    store = open_store(str(line.store))
    keys = [listed.key for prefix in ("manifests", "parts") for listed in store.list(prefix)]
    return {stage: {key for key in keys if key.split("/")[1] == stage} for stage in LINE}


SITE_FILES = ("/robots.txt", "/.well-known/tdmrep.json")


def changed(before: dict[str, set[str]], line: Line) -> list[str]:
    """The stages that did something since."""
    return [stage for stage, keys in kept(line).items() if keys != before[stage]]


def test_every_row_is_accounted_for_from_stage_to_stage(line: Line):
    made = line.artifacts()
    assert tuple(stage for stage in LINE if stage in made) == LINE
    funnels = {stage: artifact.funnel for stage, artifact in made.items()}
    assert funnels["collect"].rows_in == ROWS
    for stage in ("dedup", "score", "filter"):
        assert funnels[stage].rows_in == funnels["collect"].rows_out
    assert funnels["dedup"].rows_out == funnels["score"].rows_out == funnels["collect"].rows_out
    assert funnels["shard"].rows_in == funnels["shard"].rows_out == funnels["filter"].rows_out
    index = made["shard"].table("index")
    assert funnels["train"].rows_in == (index["split"] == "train").sum()
    assert sorted(index["uid"]) == list(made["filter"].table("selection")["uid"])
    assert funnels["evaluate"].rows_out == min(4, (index["split"] == "test").sum()) + 8
    for stage in ("collect", "filter"):
        assert dict(Counter(made[stage].table("rejects")["reason"])) == funnels[stage].reasons
    for artifact in made.values():
        assert artifact.verify() == []


def test_what_was_planted_comes_out_for_its_reason(line: Line):
    truth = pd.read_parquet(line.site.truth).head(ROWS)
    planted, collected = Counter(truth["defect"]), line.artifacts()["collect"]
    found = Counter(collected.table("rejects")["reason"].replace(Reason.UNDECODABLE, Reason.TRUNCATED))
    assert found == {
        Reason.HTTP_NOT_FOUND: planted["not_found"],
        Reason.NOT_AN_IMAGE: planted["html"],
        Reason.TOO_SMALL: planted["tiny"],
        Reason.TRUNCATED: planted["truncated"],
        Reason.DUPLICATE_URL: truth["url"].duplicated().sum(),
    }


def test_pictures_without_captions_reach_the_model_with_the_labels_that_they_have(line: Line):
    truth, made = pd.read_parquet(line.site.truth).head(ROWS), line.artifacts()
    images, index = made["collect"].table("images", ["uid", "location"]), made["shard"].table("index")
    rows = truth.merge(images, left_on="url", right_on="location").merge(
        index, on="uid", suffixes=("", "_row")
    )
    rows = rows.drop_duplicates("uid")
    planted = Counter(truth["defect"])
    for name in UNCAPTIONED:
        assert (rows["defect"] == name).sum() == planted[name] > 0
    bare = rows["defect"].isin(UNCAPTIONED)
    assert list(rows["captions"].str.len() == 0) == list(bare)
    for label in LABELS:
        assert list(rows[f"{label}_row"].fillna("")) == list(rows[label].where(rows["labelled"], ""))
    assert not made["filter"].table("rejects")["reason"].eq(Reason.NO_CAPTION).any()
    assert made["filter"].statistics["without_caption"] == bare.sum()
    rejected = made["filter"].table("rejects")["reason"].eq(Reason.CAPTION_TOO_SHORT).sum()
    assert rejected == planted["short_caption"] > 0
    conditions = made["train"].json("model/config.json")["model"]["conditions"]
    assert [each["name"] for each in conditions] == list(LABELS)


def test_references_name_what_was_made(line: Line):
    store, made = open_store(str(line.store)), line.artifacts()
    for stage, name in (("shard", "datasets"), ("train", "models"), ("evaluate", "evaluations")):
        assert resolve(store, f"{name}/line@1").fingerprint == made[stage].fingerprint


def test_the_second_time_nothing_is_done(line: Line, run: Run):
    before, asked = kept(line), line.server.requests
    again = result(run)
    assert again.cached
    assert again.digest == line.artifacts()["evaluate"].digest
    assert changed(before, line) == []
    assert line.server.requests == asked


def test_a_changed_threshold_redoes_filter_and_what_follows_alone(line: Line, run: Run):
    before, asked = kept(line), line.server.requests
    median = float(line.artifacts()["score"].table("scores")["similarity"].median())
    stricter = dataclasses.replace(run, filter=dataclasses.replace(run.filter, min_similarity=median))
    dataset = result(stricter, "shard")
    assert changed(before, line) == ["filter", "shard"]
    assert not dataset.cached
    assert 0 < dataset.funnel.rows_out < line.artifacts()["shard"].funnel.rows_out
    train = STEPS["train"]
    assert train.find(open_store(str(line.store)), run.name, run.train, [dataset]) is None
    assert line.server.requests == asked

    # One that makes no difference ends there.
    before = kept(line)
    assert line.artifacts()["filter"].funnel.reasons.get(Reason.CAPTION_TOO_LONG, 0) == 0
    looser = dataclasses.replace(run, filter=dataclasses.replace(run.filter, max_words=300))
    assert result(looser).cached
    assert changed(before, line) == ["filter"]


def test_a_grown_table_fetches_only_what_is_new(line: Line, run: Run, tmp_path: Path):
    asked, first = line.server.requests, line.artifacts()
    table = pd.read_parquet(line.site.table)
    known = set(table["url"][:ROWS])
    table = table[(table["row"] < ROWS) | ~table["url"].isin(known)]  # else old rows might get new captions
    table.to_parquet(tmp_path / "rows.parquet")
    source = dataclasses.replace(run.collect.urls[0], tables=(str(tmp_path / "rows.parquet"),))
    grown = dataclasses.replace(run, collect=dataclasses.replace(run.collect, urls=(source,)))
    images = result(grown, "collect")
    wanted = {path for path in line.server.requests - asked if path not in SITE_FILES}
    assert wanted == {urlsplit(url).path for url in set(table["url"]) - known}
    assert images.funnel.rows_in == len(table) > ROWS
    assert set(first["collect"].names("tars/")) < set(images.names("tars/"))

    # Of what follows, too, only the new tar's part is made.
    for stage in ("dedup", "score"):
        parts = result(grown, stage).statistics["parts"]
        assert parts == {"made": 1, "found": first[stage].statistics["parts"]["made"]}


def test_a_new_edition_of_the_same_redoes_nothing_below_collect(line: Line, run: Run):
    before, asked = kept(line), line.server.requests
    nightly = dataclasses.replace(run, collect=dataclasses.replace(run.collect, edition="a night later"))
    images = result(nightly, "collect")
    assert not images.cached
    assert images.digest == line.artifacts()["collect"].digest
    assert result(nightly).cached
    assert changed(before, line) == ["collect"]
    assert line.server.requests == asked
