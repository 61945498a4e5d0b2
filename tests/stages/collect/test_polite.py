"""What a site sees of a collection, counted by the site."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stages.artifacts.artifact import Artifact
from stages.config.collect import HostLimit
from stages.record import uid_of
from stages.store import Store, open_store
from tests.stages.collect.conftest import Answer, Web, body, picture, status
from tests.stages.collect.test_collect import config_of, pictures_of, reasons_of, run, table
from tests.stages.collect.test_fetch import some_failures


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.collect.rounds.PAUSE_SECONDS", 0.01)


@pytest.fixture
def collected(web: Web, store: Store, tmp_path: Path) -> Callable[..., Artifact]:
    """Collects the paths of the site."""

    def collected(*paths: str, **changes: object) -> Artifact:
        told = [(web.url(path), path) for path in paths]
        return run(store, config_of(table(tmp_path / "t.csv", told), **changes))

    return collected


def timed(answer: Answer, times: list[float]) -> Answer:
    def timing(handler: BaseHTTPRequestHandler) -> None:
        times.append(time.monotonic())
        answer(handler)

    return timing


def fetches_of(artifact: Artifact) -> dict[str, dict[str, object]]:
    rows = pq.read_table(artifact.path("evidence/fetches.parquet")).to_pylist()
    return {row["url"].rsplit("/", 1)[-1]: row for row in rows}


def test_who_says_no_is_asked_once_and_quoted(web: Web, collected: Callable[..., Artifact]) -> None:
    robots = b"User-agent: *\nDisallow: /private/\nContent-Usage: /art/ train-ai=n\n"
    tdm = b'[{"location": "/mine/*", "tdm-reservation": 1}]'
    web.answers = {
        "/robots.txt": body(robots),
        "/.well-known/tdmrep.json": body(tdm, Content_Type="application/json"),
        "/private/a": body(picture(1)),
        "/art/b": body(picture(2)),
        "/mine/c": body(picture(3)),
        "/d": body(picture(4), X_Robots_Tag="noai, noimageai"),
        "/e": body(picture(5), Content_Usage="train-ai=n"),
        "/f": body(picture(6), TDM_Reservation="1"),
        "/fine": body(picture(7)),
    }
    paths = [path for path in web.answers if "robots" not in path and "tdmrep" not in path]
    artifact = collected(*paths, retries=2)
    assert reasons_of(artifact) == dict.fromkeys("abcdef", "opted_out")
    assert web.asked == {
        "/robots.txt": 1, "/.well-known/tdmrep.json": 1, "/d": 1, "/e": 1, "/f": 1, "/fine": 1,
    }  # fmt: skip
    rules = {row["location"][-1]: row["rule"] for row in artifact.table("rejects").to_dict("records")}
    assert rules == {
        "a": "obey=robots", "b": "obey=aipref", "c": "obey=tdmrep",
        "d": "obey=x-robots-tag", "e": "obey=aipref", "f": "obey=tdmrep",
    }  # fmt: skip
    said = fetches_of(artifact)
    assert "Disallow: /private/" in str(said["a"]["signal_value"])
    assert said["a"]["signal_where"] == web.url("/robots.txt")
    assert said["a"]["requested_at"] == ""
    assert (said["d"]["signal"], said["d"]["signal_value"]) == ("x-robots-tag", "noai, noimageai")
    assert str(said["d"]["signal_when"]).endswith("Z")


def test_what_does_not_bind_is_not_obeyed(web: Web, store: Store, tmp_path: Path) -> None:
    web.answers = {
        "/robots.txt": body(b"User-agent: *\nDisallow: /\n"),
        "/a": body(picture(1), X_Robots_Tag="noai"),
    }
    config = config_of(table(tmp_path / "t.csv", [(web.url("/a"), "x")]))
    laxer = replace(config, urls=(replace(config.urls[0], obey=("tdmrep",)),))
    assert set(pictures_of(run(store, laxer))) == {"a"}
    assert "/robots.txt" not in web.asked
    stricter = run(store, config, run(store, laxer))
    assert reasons_of(stricter) == {"a": "opted_out"}


def test_what_failed_is_asked_again_in_later_rounds(web: Web, collected: Callable[..., Artifact]) -> None:
    web.answers = {
        "/once": some_failures(1, 500, picture(1)),
        "/twice": some_failures(2, 503, picture(2)),
        "/never": status(500),
        "/gone": status(410),
        "/missing": status(404),
        "/denied": status(403),
        "/html": body(b"<html>"),
    }
    artifact = collected(*web.answers, retries=2)
    assert set(pictures_of(artifact)) == {"once", "twice"}
    assert web.pictures() == {
        "/once": 2, "/twice": 3, "/never": 3, "/gone": 1, "/missing": 1, "/denied": 1, "/html": 1,
    }  # fmt: skip
    said = fetches_of(artifact)
    assert {name: row["requests"] for name, row in said.items()}["twice"] == 3
    assert said["never"]["failures"] == 1
    hosts = artifact.table("evidence/hosts").to_dict("records")
    assert [(host["host"], host["requests"], host["pictures"]) for host in hosts] == [("127.0.0.1", 12, 2)]


def test_retry_after_is_waited_for(web: Web, collected: Callable[..., Artifact]) -> None:
    times: list[float] = []
    web.answers = {
        "/busy": timed(some_failures(1, 429, picture(1), **{"Retry-After": "2"}), times),
        "/other": body(picture(2)),
    }
    assert set(pictures_of(collected("/busy", "/other"))) == {"busy", "other"}
    assert len(times) == 2
    assert times[1] - times[0] >= 1.9


def test_who_asks_for_too_long_is_left_to_the_next_edition(
    web: Web, collected: Callable[..., Artifact]
) -> None:
    web.answers = {"/busy": status(429, **{"Retry-After": "3600"})}
    artifact = collected("/busy", patience=5.0)
    assert reasons_of(artifact) == {"busy": "http_too_many_requests"}
    assert web.pictures() == {"/busy": 1}
    assert fetches_of(artifact)["busy"]["retry_at"]


@pytest.mark.parametrize("limit", [1, 3])
def test_a_host_is_never_asked_for_more_at_once(web: Web, store: Store, tmp_path: Path, limit: int) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def counting(data: bytes) -> Answer:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.01)
            with lock:
                now[0] -= 1
            body(data)(handler)

        return answer

    web.answers = {f"/{number}": counting(picture(number)) for number in range(40)}
    config = config_of(
        table(tmp_path / "t.csv", [(web.url(path), "x") for path in web.answers]),
        part_rows=10,
        threads=30,
        hosts=(HostLimit(host="127.0.0.1", connections=limit),),
    )
    assert len(pictures_of(run(store, config))) == 40
    assert most[0] <= limit
    assert most[0] == limit or limit > 1


def test_one_url_is_fetched_once_however_many_rows_have_it(web: Web, store: Store, tmp_path: Path) -> None:
    url = web.serve("/a", picture(1))
    one, other = table(tmp_path / "one.csv", [(url, "an a"), (url + "#x", "a letter")]), tmp_path / "two.csv"
    table(other, [(url, "something else")])
    config = config_of(one)
    second = replace(config.urls[0], name="second", tables=(str(other),))
    artifact = run(store, replace(config, urls=(*config.urls, second)))
    assert web.pictures() == {"/a": 1}
    images = artifact.table("images").set_index("uid")
    assert set(images.index) == {uid_of("web", url), uid_of("second", url)}
    texts = {uid: [one["text"] for one in row.captions] for uid, row in images.iterrows()}
    assert texts[uid_of("web", url)] == ["an a", "a letter"]
    assert images["file"].nunique() == 1
    assert artifact.funnel.reasons == {"duplicate_url": 1}


def test_a_placeholder_is_no_picture(web: Web, store: Store, tmp_path: Path) -> None:
    for number in range(5):
        web.serve(f"/gone{number}", picture(0))
        web.serve(f"/{number}", picture(number + 1))
    told = [(web.url(path), path) for path in web.answers]
    config = config_of(table(tmp_path / "t.csv", told[:8]), placeholder_urls=4)
    first = run(store, config)
    assert reasons_of(first) == {f"gone{number}": "placeholder" for number in range(4)}
    table(tmp_path / "t.csv", told)
    web.asked.clear()
    second = run(store, config, first)
    assert reasons_of(second) == {f"gone{number}": "placeholder" for number in range(5)}
    assert web.pictures() == {"/4": 1, "/gone4": 1}


def test_the_agent_says_who_it_is(web: Web, collected: Callable[..., Artifact]) -> None:
    web.serve("/a", picture(1))
    collected("/a", agent="birds-bot", contact="https://birds.example/bot")
    (agent,) = web.agents
    assert agent.startswith("birds-bot/")
    assert "https://birds.example/bot" in agent


def test_a_dominating_host_is_worth_a_warning(
    web: Web, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.collect.progress.MANY", 3)
    told = [(web.serve(f"/{number}", picture(number)), "x") for number in range(4)]
    assert "warnings" not in run(store, config_of(table(tmp_path / "t.csv", told))).statistics
    artifact = run(store, config_of(table(tmp_path / "t.csv", told), connections=4, edition="2"))
    (warning,) = artifact.statistics["warnings"]
    assert "100% of the URLs are at 127.0.0.1" in warning


def test_hosts_are_asked_by_turns_not_one_after_the_other(web: Web, store: Store, tmp_path: Path) -> None:
    asked: list[str] = []

    def noting(data: bytes) -> Answer:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            asked.append(handler.headers["Host"].split(":")[0])
            body(data)(handler)

        return answer

    web.answers = {f"/{number}": noting(picture(number)) for number in range(60)}
    hosts = [f"127.0.0.{1 + number // 20}" for number in range(60)]  # the table has them in blocks
    told = [(web.url(f"/{number}", host), "x") for number, host in enumerate(hosts)]
    artifact = run(store, config_of(table(tmp_path / "t.csv", told), part_rows=20, threads=3))
    assert artifact.funnel.rows_out == 60
    assert all(set(asked[start : start + 20]) == set(hosts) for start in range(0, 60, 20))


def test_another_config_has_rounds_of_its_own(web: Web, store: Store, tmp_path: Path) -> None:
    web.answers = {"/a": some_failures(1, 503, picture(1)), "/b": some_failures(3, 503, picture(2))}
    told = table(tmp_path / "t.csv", [(web.url("/a"), "x"), (web.url("/b"), "x")])
    first = run(store, config_of(told, retries=1))
    assert reasons_of(first) == {"b": "http_server_error"}
    web.answers["/a"] = body(picture(1))
    second = run(store, config_of(told, retries=1, min_side=17))
    assert set(pictures_of(second)) == {"a", "b"}
    assert web.pictures() == {"/a": 3, "/b": 4}
