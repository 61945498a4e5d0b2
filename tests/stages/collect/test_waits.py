"""A collection that waits says for whom, until when and why."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stages.collect.waits import moment, wait_for_round
from stages.reporter import Silent, Wait
from stages.store import Store, open_store
from tests.stages.collect.conftest import Answer, Web, body, picture
from tests.stages.collect.test_collect import config_of, pictures_of, run, table
from tests.stages.collect.test_fetch import some_failures


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


class Listener(Silent):
    """Keeps what it hears of waits."""

    def __init__(self) -> None:
        self.waits: list[Wait] = []
        self.notes: list[str] = []

    def waiting(self, stage: str, wait: Wait) -> None:
        self.waits.append(wait)

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        self.notes.append(note)


@pytest.mark.parametrize(
    ("path", "answer", "reason"),
    [
        ("/busy", some_failures(1, 429, picture(1), **{"Retry-After": "2"}), "it asked us to wait"),
        ("/down", some_failures(1, 503, picture(1)), "http_server_error before"),
        ("/robots.txt", some_failures(1, 503, b""), "its robots.txt could not be read"),
    ],
)
def test_between_rounds_it_names_the_host_the_moment_and_why(
    path: str, answer: Answer, reason: str, web: Web, store: Store, tmp_path: Path
):
    listener = Listener()
    web.serve("/robots.txt", b"")
    web.serve("/there", picture(1))
    web.answers[path] = answer
    url = web.url("/there" if path == "/robots.txt" else path)
    config = config_of(table(tmp_path / "t.csv", [(url, "x")]))
    assert pictures_of(run(store, config, reporter=listener))
    (wait, *others) = set(listener.waits)
    assert (wait.subject, wait.reason, wait.more, others) == ("127.0.0.1", reason, "", [])
    assert re.fullmatch(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d UTC", wait.until)
    assert f"1 URL is requested again, {wait}" in listener.notes


def test_within_a_round_requests_wait_for_a_host(web: Web, store: Store, tmp_path: Path):
    """One is answered that the host is busy, the others stand in its queue meanwhile."""
    paths = [f"/{number}" for number in range(6)]
    failures = iter([some_failures(1, 429, picture(9), **{"Retry-After": "4"})])
    for number, path in enumerate(paths):
        data = picture(number)
        web.answers[path] = lambda handler, data=data: next(failures, body(data))(handler)
    listener = Listener()
    source = table(tmp_path / "t.csv", [(web.url(path), "x") for path in paths])
    config = config_of(source, connections=1, threads=9, part_rows=6)
    run(store, config, reporter=listener)
    shown = [note for note in listener.notes if "waiting for 127.0.0.1 until" in note]
    assert any("requested again" not in note for note in shown)
    assert "it asked us to wait" in {wait.reason for wait in listener.waits}


def test_a_wait_in_words():
    pending = [("a.example", "timeout", False), ("b.example", "timeout", False), ("c.example", "x", True)]
    hostile = [("e\x1b[31mvil.example", "host_set_aside", False)]
    tomorrow = time.time() + 90_000
    day = datetime.fromtimestamp(tomorrow, UTC).strftime("%Y-%m-%d ")
    assert str(wait_for_round(pending, tomorrow)).startswith(f"waiting for a.example until {day}")
    assert str(wait_for_round(pending, tomorrow)).endswith(" UTC (timeout before), 2 hosts more")
    assert str(wait_for_round(pending[2:], tomorrow)).endswith(" UTC (it asked us to wait)")
    assert wait_for_round(hostile, tomorrow).subject == "e\\x1b[31mvil.example"
    assert wait_for_round(hostile, tomorrow).reason == "it is given a rest"
    assert moment(0.4) == "1970-01-01 00:00:00 UTC"
