"""The demo's site through `collect`: what becomes of every row, and what the server saw."""

import socket
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest

from stages.artifacts.artifact import Artifact
from stages.collect.collect import collect
from stages.collect.sources.files import snapshot
from stages.config.collect import CollectConfig, UrlSource
from stages.demo import manners
from stages.demo.outcomes import OUTCOMES
from stages.demo.rates import DEFECTS, UNCAPTIONED, WEB_DEFECTS, Rates
from stages.demo.scoring import score_defects
from stages.demo.server import DemoServer, Event, Reply
from stages.demo.site import build
from stages.store import open_store

pytestmark = pytest.mark.slow

RATES = Rates(
    **dict.fromkeys(DEFECTS, 0.01),
    **{**dict.fromkeys(WEB_DEFECTS, 0.015), "x_robots_tag": 0.05, "placeholder": 0.06},
)
CONNECTIONS = 3
OPTED_OUT = ("robots", "x_robots_tag", "content_usage", "tdm")


class Slow(DemoServer):
    """Takes its time, so that requests would overlap that may not."""

    def reply(self, path: str) -> Reply:
        time.sleep(0.02)
        return super().reply(path)


@dataclass(frozen=True)
class World:
    """A site that was collected."""

    truth: pd.DataFrame
    images: Artifact
    log: list[Event]
    requests: Counter[str]

    def paths(self, *defects: str) -> list[str]:
        urls = self.truth[self.truth.defect.isin(defects)].url
        assert len(urls), defects
        return [urlsplit(url).path for url in urls]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder: Path = tmp_path_factory.mktemp("collected")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = build(folder / "site", 240, seed=8, rates=RATES, port=port)
    source = UrlSource(name="web", tables=(str(site.table),), allow_networks=("127.0.0.0/8",))
    config = CollectConfig(
        urls=(source,),
        connections=CONNECTIONS,
        per_second=0,
        deadline=1,
        workers=1,
        part_rows=100,
        placeholder_urls=manners.PLACEHOLDERS - 2,
    )
    with Slow(site) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.collect.rounds.PAUSE_SECONDS", 0.05)
        patch.setattr("stages.collect.web.host_limiter.FIRST_COOL_DOWN_SECONDS", 0.05)
        images = collect(None, snapshot(config), None, config, store=open_store(str(folder / "store")))
        return World(pd.read_parquet(site.truth), images, server.log, server.requests)


def test_everything_becomes_what_it_should(collected: World):
    images, rejects = collected.images.table("images"), collected.images.table("rejects")
    alone = pd.DataFrame({"uid": images.uid, "cluster": images.uid, "level": ""})
    scores = score_defects(collected.truth, images, alone, rejects)
    captions = ("swapped_caption", "attribute_caption", "short_caption")  # the filter's
    for name, score in scores.items():
        if not OUTCOMES[name].copy and name not in captions:
            assert score["caught"] == score["planted"], (name, score)
            assert score["planted"], name
            assert score["precision"] in (None, 1.0), (name, score)


def test_good_rows_are_all_held(collected: World):
    locations = set(collected.images.table("images").location)
    assert set(collected.truth[collected.truth.defect.isin(["", *UNCAPTIONED])].url) <= locations


def test_no_host_is_asked_for_more_at_once_than_it_is_spared(collected: World):
    busy: Counter[str] = Counter()
    most: Counter[str] = Counter()
    given_up = collected.paths("drip", "huge")  # the server goes on for a while, not knowing
    for event in collected.log:
        if event.path in given_up:
            continue
        busy[event.host] += 1 if event.phase == "start" else -1
        most[event.host] = max(most[event.host], busy[event.host])
    assert most[manners.HOST] == CONNECTIONS
    assert most[manners.SECOND_HOST] <= CONNECTIONS


def test_a_no_is_asked_for_once_and_what_robots_disallows_never(collected: World):
    requests = collected.requests
    assert {requests[path] for path in collected.paths("x_robots_tag", "not_found", "huge")} == {1}
    assert {requests[path] for path in collected.paths("robots")} == {0}
    for path in collected.paths("content_usage", "tdm"):
        assert requests[path] == (0 if path.count("/") > 2 else 1)
    assert {requests[path] for path in (manners.ROBOTS, manners.TDMREP)} == {2}  # once each host


def test_what_was_refused_for_a_time_is_not_asked_before_it_has_passed(collected: World):
    for path in collected.paths("too_many"):
        times = {(event.path, event.phase): event.time for event in reversed(collected.log)}
        refused = times[path, "end"]
        again = [event.time for event in collected.log if event.path == path and event.phase == "start"]
        assert len(again) == 2
        assert again[1] - refused >= manners.RETRY_AFTER_SECONDS
