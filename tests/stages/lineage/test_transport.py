"""Where events go: nowhere unless asked, a file by default, HTTP by the client's own configuration."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from openlineage.client.transport.file import FileTransport

from stages.lineage import emitter
from stages.lineage.transport import check_transport
from stages.store import Store
from tests.stages.lineage.events import sent, validator
from tests.stages.lineage.line import Words, spell

ROOT = Path(__file__).parents[3]


class Catalogue(ThreadingHTTPServer):
    """Takes events on the loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.posts: list[tuple[str, str | None, bytes]] = []
        self.status = 201
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Catalogue)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def catalogue() -> Iterator[Catalogue]:
    server = Catalogue()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    """What the process says of it; pytest listens to the client's own loggers, too, which nobody hears."""
    records = [record for record in log.records if record.name == "sdflow.lineage"]
    return [record.getMessage() for record in records if record.levelno >= logging.WARNING]


def test_nothing_is_sent_or_loaded_unless_asked(store: Store, tmp_path: Path):
    (tmp_path / "home" / ".openlineage").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "home" / ".openlineage"):
        (folder / "openlineage.yml").write_text("transport: {type: http, url: 'http://127.0.0.1:9'}")
    spell(None, Words(), store=store)
    assert not emitter._emitters
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "openlineage.yml", "store"]


def test_the_stages_are_imported_without_the_client():
    program = "import sys, stages.stage; print([name for name in sys.modules if 'openlineage' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["[]"], done.stderr


def test_the_clients_own_switch_turns_it_off(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "True")
    spell(None, Words(), store=store)
    assert not emitter._emitters
    assert not file.exists()


def test_a_file_gets_a_line_for_each_event_and_keeps_those_that_it_has(store: Store, file: Path):
    spell(None, Words(), store=store)
    assert len(sent(file)) == 2
    emitter._emitters.clear()
    spell(None, Words(), store=store)
    assert len(sent(file)) == 4


def test_the_file_stands_above_a_host(
    store: Store, file: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENLINEAGE_URL", catalogue.url)
    spell(None, Words(), store=store)
    assert len(sent(file)) == 2
    assert catalogue.posts == []


def test_http_is_the_clients_own(store: Store, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENLINEAGE_URL", catalogue.url)
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "a-key")
    spell(None, Words(), store=store)
    assert emitter.flush(60)
    assert [post[:2] for post in catalogue.posts] == [("/api/v1/lineage", "Bearer a-key")] * 2
    events = [json.loads(body) for _, _, body in catalogue.posts]
    for event in events:
        validator().validate(event)
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"]
    assert "a-key" not in json.dumps(events)


def test_a_config_of_the_clients_is_read_where_it_is_named(
    store: Store, catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = tmp_path / "elsewhere.yml"
    transports = {"a": {"type": "http", "url": catalogue.url, "endpoint": "in"}}
    config.write_text(json.dumps({"transport": {"type": "composite", "transports": transports}}))
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(config))
    spell(None, Words(), store=store)
    assert emitter.flush(60)
    assert [path for path, _, _ in catalogue.posts] == ["/in", "/in"]


def test_a_host_that_refuses_costs_one_warning_and_no_stage(
    store: Store, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    catalogue.status = 403
    monkeypatch.setenv("OPENLINEAGE_URL", catalogue.url)
    monkeypatch.setenv("OPENLINEAGE_ENDPOINT", "in?code=sesame")
    for _ in range(3):
        spell(None, Words(), store=store)
    assert emitter.flush(60)
    assert len(catalogue.posts) == 6
    (words,) = warnings(caplog)
    assert words == "OpenLineage events are not all sent: HTTPError 403; the work goes on without"


def test_a_host_that_is_away_keeps_nobody_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    retry = '{"total": 1, "connect": 1, "backoff_factor": 0}'
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", "http://me:sesame@127.0.0.1:1")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__RETRY", retry)
    assert not spell(None, Words(), store=store).cached
    assert emitter.flush(60)
    (words,) = warnings(caplog)
    assert "ConnectionError" in words
    assert "sesame" not in words


def test_a_full_queue_loses_events_and_says_so(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    go = threading.Event()
    monkeypatch.setattr(emitter, "QUEUED", 2)
    monkeypatch.setattr(FileTransport, "emit", lambda self, event: go.wait(60))
    for _ in range(5):
        spell(None, Words(), store=store)
    (words,) = warnings(caplog)
    assert "2 wait already" in words
    assert not emitter.flush(0)
    go.set()


def test_a_process_that_ends_sends_what_is_queued(tmp_path: Path):
    program = (
        "import sys; from stages.store import open_store; "
        "from tests.stages.lineage.line import Words, spell; "
        "spell(None, Words(), store=open_store(sys.argv[1]))"
    )
    environment = {
        **os.environ,
        "SDFLOW_OPENLINEAGE": "events.jsonl",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", program, str(tmp_path / "store")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(sent(tmp_path / "events.jsonl")) == 2


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "os.system"}, "transport type 'os.system' is none of http"),
        ({"type": "kafka"}, "is none of"),
        ({}, "transport type None"),
        ({"type": "file", "log_file_path": "x", "filesystem": "a.b"}, "names code"),
        ({"type": "http", "url": "x", "auth": {"type": "a.B"}}, "auth type 'a.B' is none of api_key"),
        ({"type": "composite", "transports": [{"type": "a.B"}]}, "'a.B'"),
        ({"type": "composite", "transports": {"x": {"type": "a.B"}}}, "'a.B'"),
    ],
)
def test_a_configuration_names_no_code(config: dict[str, object], words: str):
    with pytest.raises(ValueError, match=words):
        check_transport(config)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OPENLINEAGE__TRANSPORT__TYPE", "os.system", "transport type 'os.system'"),
        ("OPENLINEAGE__TRANSPORT__TYPE", "console", "names no transport that shows anything"),
        ("OPENLINEAGE_CONFIG", "nowhere.yml", "names no transport that shows anything"),
        ("SDFLOW_OPENLINEAGE", "s3://bucket/events", "give the path of a local file"),
        ("SDFLOW_OPENLINEAGE", ".", "give the path of a local file"),
    ],
)
def test_what_cannot_work_is_a_warning_and_no_failure(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
    words: str,
):
    monkeypatch.setenv(name, value)
    assert not spell(None, Words(), store=store).cached
    assert emitter.flush(60)
    (warning,) = warnings(caplog)
    assert words in warning
