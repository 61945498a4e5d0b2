"""A later edition: what is asked again, what stays, what leaves, and what is said of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.artifacts.artifact import Artifact
from stages.collect.collect import collect
from stages.collect.sources.files import snapshot
from stages.config.collect import CollectConfig
from stages.store import Store, open_store
from tests.stages.collect.conftest import Web, body, picture, status
from tests.stages.collect.test_collect import check, config_of, pictures_of, reasons_of, run, table
from tests.stages.collect.test_fetch import some_failures


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.collect.rounds.PAUSE_SECONDS", 0.01)


def again(config: CollectConfig, edition: str, days: float | None = 0.0) -> CollectConfig:
    """A config that asks again for everything that was seen more than `days` ago."""
    return replace(config, edition=edition, urls=(replace(config.urls[0], revalidate_days=days),))


@pytest.fixture
def a_day_later(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Editions take place a day after what they build on."""
    monkeypatch.setattr("stages.collect.rounds.now", lambda: time.time() + 86400)
    return iter(())


@pytest.mark.usefixtures("a_day_later")
def test_what_is_held_is_asked_for_again_without_its_body(web: Web, store: Store, tmp_path: Path) -> None:
    sent: list[tuple[str, str | None, str | None]] = []

    def conditional(name: str, number: int) -> Any:
        def answer(handler: Any) -> None:
            sent.append((name, handler.headers["If-None-Match"], handler.headers["If-Modified-Since"]))
            known = handler.headers["If-None-Match"] == f'"{number}"'
            if known:
                status(304, ETag=f'"{number}"')(handler)
            else:
                body(picture(number), ETag=f'"{number}"')(handler)

        return answer

    names = ("same", "dated", "changed", "gone", "optout", "busy")
    web.answers = {f"/{name}": conditional(name, place) for place, name in enumerate(names)}
    date = "Sat, 21 Nov 2026 07:28:00 GMT"
    web.answers["/dated"] = body(picture(1), Last_Modified=date)
    config = config_of(table(tmp_path / "t.csv", [(web.url(path), "x") for path in web.answers]), retries=0)
    first = run(store, config)
    assert len(pictures_of(first)) == 6
    web.answers["/changed"] = conditional("changed", 22)
    web.answers["/gone"] = status(410)
    web.answers["/optout"] = body(picture(4), X_Robots_Tag="noai")
    web.answers["/busy"] = status(503)
    web.answers["/dated"] = lambda handler: (
        sent.append(("dated", None, handler.headers["If-Modified-Since"])),
        status(304)(handler),
    )
    sent.clear()
    second = run(store, again(config, "2", 0.5), first)
    assert sorted(sent, key=str) == [
        ("changed", '"2"', None),
        ("dated", None, date),
        ("same", '"0"', None),
    ]
    before, after = pictures_of(first), pictures_of(second)
    assert set(after) == {"same", "dated", "changed", "busy"}
    assert reasons_of(second) == {"gone": "http_not_found", "optout": "opted_out"}
    for name in ("same", "dated", "busy"):
        assert (after[name]["file"], after[name]["sha256"]) == (before[name]["file"], before[name]["sha256"])
    assert second.read(*(after["changed"][key] for key in ("file", "offset", "length"))) == picture(22)
    assert second.statistics["revalidated"] == 6
    told = second.json("evidence/diff.json")
    assert (told["added"], told["same_bytes"], told["changed"]) == (0, 3, 1)
    assert told["removed"] == {"http_not_found": 1, "opted_out": 1}


def test_recently_seen_pictures_are_not_asked_for(web: Web, store: Store, tmp_path: Path) -> None:
    config = config_of(table(tmp_path / "t.csv", [(web.serve("/a", picture(1)), "x")]))
    first = run(store, config)
    web.asked.clear()
    second = run(store, again(config, "2", 30), first)
    assert not web.asked
    assert second.digest == first.digest


@pytest.mark.usefixtures("a_day_later")
def test_a_failure_is_due_later_the_more_often_it_came(web: Web, store: Store, tmp_path: Path) -> None:
    web.answers = {"/dead": status(500)}
    config = config_of(table(tmp_path / "t.csv", [(web.url("/dead"), "x")]), retries=0)
    previous: Artifact | None = None
    asked: list[int] = []
    for edition in range(4):
        web.asked.clear()
        previous = run(store, replace(config, edition=str(edition)), previous)
        asked.append(web.asked["/dead"])
        assert reasons_of(previous) == {"dead": "http_server_error"}
    # After the first failure at once, after the second a day later (which has passed), then after two.
    assert asked == [1, 1, 1, 0]


def test_a_host_that_asked_for_time_is_given_it(web: Web, store: Store, tmp_path: Path) -> None:
    web.answers = {"/later": status(503, **{"Retry-After": "3600"})}
    config = config_of(table(tmp_path / "t.csv", [(web.url("/later"), "x")]), patience=1)
    first = run(store, config)
    second = run(store, replace(config, edition="2"), first)
    assert web.pictures() == {"/later": 1}
    assert reasons_of(second) == {"later": "http_server_error"}


def test_the_difference_is_on_record(web: Web, store: Store, tmp_path: Path) -> None:
    told = [(web.serve(f"/{number}", picture(number)), "x") for number in range(6)]
    web.answers["/flaky"] = some_failures(1, 500, picture(9))
    told += [(web.url("/flaky"), "x")]
    config = config_of(table(tmp_path / "t.csv", told[:5] + told[6:]), retries=0)
    first = run(store, config)
    assert "evidence/diff.json" not in first.files
    table(tmp_path / "t.csv", told[2:])
    second = run(store, config, first)
    said = second.json("evidence/diff.json")
    assert (said["added"], said["same_bytes"], said["removed"]) == (2, 3, {"left_the_table": 2})
    assert second.json("evidence/coverage.json")


def test_contradictions_are_kept(web: Web, store: Store, tmp_path: Path) -> None:
    told = [(web.serve("/a", picture(1)), "a cat"), (web.serve("/b", picture(1)), "a dog")]
    artifact = run(store, config_of(table(tmp_path / "t.csv", told)))
    conflicts = artifact.table("evidence/conflicts")
    assert set(conflicts["uid"]) == {row["uid"] for row in pictures_of(artifact).values()}
    assert artifact.funnel.rows_out == 2


def test_what_was_taken_down_does_not_come_back(web: Web, store: Store, tmp_path: Path) -> None:
    from stages.takedown.records import Name, forget, takedowns

    told = [(web.serve(f"/{number}", picture(number)), "x") for number in range(4)]
    told += [(web.serve("/copy", picture(0)), "the same as 0")]
    config = config_of(table(tmp_path / "t.csv", told))
    first = run(store, config)
    forget(store, [Name("url", web.url("/0"))], "asked by its maker")
    forget(store, [Name("uid", pictures_of(first)["1"]["uid"])], "asked by its maker")
    told += [(web.serve("/again", picture(1)), "the same as 1")]
    table(tmp_path / "t.csv", told)
    web.asked.clear()
    gone = takedowns(store)
    second = collect(first, snapshot(config), gone, config, store=store)
    check(second)
    assert set(pictures_of(second)) == {"2", "3"}
    assert reasons_of(second) == dict.fromkeys(("0", "1", "copy", "again"), "taken_down")
    assert web.pictures() == {"/again": 1}
    tars = {name for name in second.names("tars/") if name not in first.files}
    assert not tars, "bytes that were taken down are stored"
    rules = set(second.table("rejects")["rule"])
    assert rules == {"take-down 1", "take-down 2"}


PROGRAM = """
import sys
from pathlib import Path
from stages.collect.collect import collect
from stages.collect.sources.files import snapshot
from stages.store import open_store
from tests.stages.collect.test_collect import config_of
store, table = sys.argv[1:]
config = config_of(Path(table), part_rows=10, threads=12)
if __name__ == "__main__":
    collect(None, snapshot(config), None, config, store=open_store(store))
"""


@pytest.mark.slow
def test_a_killed_collection_asks_for_what_was_not_finished(web: Web, tmp_path: Path) -> None:
    def slow(number: int) -> Any:
        def answer(handler: Any) -> None:
            time.sleep(0.05)
            body(picture(number))(handler)

        return answer

    web.answers = {f"/{number}": slow(number) for number in range(120)}
    rows = table(tmp_path / "t.csv", [(web.url(path), "x") for path in web.answers])
    (tmp_path / "collecting.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "collecting.py"), str(tmp_path / "store"), str(rows)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(command, env=environment)
    store = open_store(str(tmp_path / "store"))
    while len(list(store.list("parts"))) < 5 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.3)  # what it had asked for is answered
    done = sum(json.loads(store.read(part.key))["funnel"]["rows_in"] for part in store.list("parts/collect")
               if json.loads(store.read(part.key))["funnel"])  # fmt: skip
    assert 0 < done < 120
    web.asked.clear()
    config = config_of(rows, part_rows=10, threads=12)
    second = run(store, config)
    assert sum(web.pictures().values()) == 120 - done
    assert second.digest == run(open_store(str(tmp_path / "other")), config).digest


KINDS = st.sampled_from(
    ["fine", "404", "410", "403", "429", "500", "503", "reset", "short", "html", "noai", "loop", "nowhere",
     "file", "self", "flaky", "gzip", "empty"]
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(KINDS, min_size=1, max_size=30), robots=st.sampled_from(["", "all", "500", "html"]))
def test_whatever_the_server_does_every_row_comes_out_once(
    web: Web, tmp_path_factory: pytest.TempPathFactory, kinds: list[str], robots: str
) -> None:
    folder = tmp_path_factory.mktemp("any")

    def reset(handler: Any) -> None:
        handler.connection.close()

    answers = {
        "fine": lambda n: body(picture(n)),
        "404": lambda n: status(404),
        "410": lambda n: status(410),
        "403": lambda n: status(403),
        "429": lambda n: status(429, **{"Retry-After": "0"}),
        "500": lambda n: status(500),
        "503": lambda n: status(503, **{"Retry-After": "nonsense"}),
        "reset": lambda n: reset,
        "short": lambda n: body(picture(n)[:50], length=9999),
        "html": lambda n: body(b"<html>"),
        "noai": lambda n: body(picture(n), X_Robots_Tag="noai"),
        "loop": lambda n: status(302, Location=f"/{n}"),
        "nowhere": lambda n: status(302),
        "file": lambda n: status(302, Location="file:///etc/passwd"),
        "self": lambda n: status(301, Location="http://user:secret@127.0.0.1/"),
        "flaky": lambda n: some_failures(1, 503, picture(n)),
        "gzip": lambda n: body(b"\x1f\x8bnot gzip", Content_Encoding="gzip"),
        "empty": lambda n: body(b""),
    }
    web.answers = {f"/{number}": answers[kind](number) for number, kind in enumerate(kinds)}
    web.answers["/robots.txt"] = {
        "": status(404),
        "all": body(b"User-agent: *\nDisallow: /"),
        "500": status(500),
        "html": body(b"<html>\n\xff\xfe: no robots\n"),
    }[robots]
    told = [(web.url(f"/{number}"), "x") for number in range(len(kinds))]
    store = open_store(str(folder / "store"))
    artifact = run(store, config_of(table(folder / "t.csv", told), part_rows=7, patience=0.1, deadline=5.0))
    images, rejects = (pq.read_table(artifact.path(f"{name}.parquet")) for name in ("images", "rejects"))
    out = [row["location"] for row in (*images.to_pylist(), *rejects.to_pylist())]
    assert sorted(out) == sorted(url for url, _ in told)
    assert all(rejects["reason"].to_pylist())
    everything = str(images.to_pylist()) + str(rejects.to_pylist()) + str(fetches_table(artifact))
    assert "secret" not in everything


def fetches_table(artifact: Artifact) -> list[dict[str, Any]]:
    return pq.read_table(artifact.path("evidence/fetches.parquet")).to_pylist()


def test_where_bytes_lie_does_not_tell_how_often_they_were_asked_for(web: Web, tmp_path: Path) -> None:
    told = [(web.serve(f"/{number}", picture(number)), "x") for number in range(6)]
    told += [(web.url(f"/late{number}"), "x") for number in range(5)]
    config = config_of(table(tmp_path / "t.csv", told), retries=4, part_rows=4)

    def collected(store: str, failures: tuple[int, ...]) -> Artifact:
        for number, times in enumerate(failures):
            web.answers[f"/late{number}"] = some_failures(times, 503, picture(100 + number))
        return run(open_store(str(tmp_path / store)), config)

    one, other = collected("one", (1, 1, 1, 2, 2)), collected("other", (3, 1, 2, 1, 1))
    assert one.digest == other.digest
    held = pictures_of(one)
    assert len(held) == 11
    for number in range(5):
        row = held[f"late{number}"]
        assert one.read(row["file"], row["offset"], row["length"]) == picture(100 + number)
    assert one.statistics["fetched_again"] == 7
