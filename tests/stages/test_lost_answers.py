"""A create-only put whose answer is lost: the client asks again, and is told that the object is there.

Everything that is put create-only goes through a proxy before a real S3 API, which hands each such put on and
loses its answer: once (the client tries again and hears of its own object), or always.
"""

import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stages.artifacts.activity import leases_in_use
from stages.artifacts.amendment import Replacement, amend, amendments
from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.lease import acquire
from stages.artifacts.reference import refer, references
from stages.output import Output, PartResult
from stages.stage import Stats, stage
from stages.store import Store, open_store
from stages.store.format import KEY
from stages.takedown.records import Name, forget, records


class Losing(ThreadingHTTPServer):
    """A proxy; `losses` counts the answers that it lost, by the first folder of the key."""

    def __init__(self, beyond: str, tries: int) -> None:
        super().__init__(("127.0.0.1", 0), LosingHandler)
        self.beyond = beyond.removeprefix("http://")
        self.tries = tries
        self.lost: dict[str, int] = {}

    def loses(self, path: str) -> bool:
        self.lost[path] = self.lost.get(path, 0) + 1
        return self.lost[path] <= self.tries


class LosingHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Losing

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection(self.server.beyond)
        connection.request(self.command, self.path, body, dict(self.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if self.headers.get("If-None-Match") and self.server.loses(self.path):
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        ours = ("connection", "transfer-encoding", "content-length")
        for name, value in answer.getheaders():
            if name.lower() not in ours:
                self.send_header(name, value)
        size = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(size or 0))
        self.end_headers()
        self.wfile.write(content)

    do_PUT = do_GET = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815 -- the base class's names

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def losing(s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Losing]:
    proxy = Losing(s3_server, tries=1)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
    yield proxy
    proxy.shutdown()
    proxy.server_close()
    thread.join()


@pytest.fixture
def lossy(losing: Losing, s3: str) -> Store:
    store = open_store(s3)
    losing.lost.clear()  # of the probe
    return store


@dataclass(frozen=True, kw_only=True)
class Config:
    text: str = "a"


@stage(version=1, kind="word")
def word(config: Config, out: Output) -> Stats:
    def make(folder) -> PartResult:
        (folder / "part.txt").write_text(config.text)
        return PartResult(Funnel(1, 1))

    out.add(out.part(config.text, [config.text], make))
    out.write("word.txt").write_text(config.text)
    return Stats(Funnel(1, 1))


def test_a_good_server_is_taken_for_good(losing: Losing, s3: str) -> None:
    store = open_store(s3)
    assert [path.split("/")[4] for path in losing.lost] == ["probe", KEY]
    assert [listed.key for listed in store.list("")] == [KEY]


def test_an_artifact_counts_as_made_by_who_made_it(losing: Losing, lossy: Store) -> None:
    artifact = word(Config(), store=lossy)
    assert not artifact.cached
    assert artifact.statistics["parts"] == {"made": 1, "found": 0}
    assert {path.split("/")[4] for path in losing.lost} == {"leases", "parts", "manifests", "status"}
    assert word(Config(), store=lossy).cached


def test_somebody_elses_record_is_still_somebody_elses(lossy: Store) -> None:
    assert lossy.create("a/b", b"first")
    assert not lossy.create("a/b", b"second")
    assert lossy.read("a/b") == b"first"


def test_a_name_gets_one_entry(lossy: Store) -> None:
    artifact = word(Config(), store=lossy)
    assert refer(lossy, "words/a", artifact).number == 1
    assert len(references(lossy, "words/a")) == 1


def test_a_picture_is_taken_down_once(lossy: Store) -> None:
    assert forget(lossy, [Name("sha256", "ab" * 32)], "asked for").number == 1
    assert len(records(lossy)) == 1


def test_an_artifact_is_amended_once(lossy: Store) -> None:
    artifact = word(Config(), store=lossy)
    old = artifact.entry("word.txt")
    change = Replacement("word.txt", old.key, old.size, old.sha256, old.key, old.sha256)
    for _ in range(2):
        amend(lossy, "word", artifact.fingerprint, [change], "why", 1)
    assert len(amendments(lossy, "word", artifact.fingerprint)) == 1
    assert len(Artifact.open(lossy, "word", artifact.fingerprint).amendments) == 1


def test_a_lease_is_its_holders(lossy: Store) -> None:
    lease = acquire(lossy, "word", "ab" * 32, lambda _: False)
    assert lease is not None
    with lease:
        assert len(list(lossy.list("leases"))) == 1
        assert not lease.lapsed()
    assert leases_in_use(lossy) == []


def test_a_record_of_which_no_answer_ever_comes_stands(losing: Losing, lossy: Store) -> None:
    losing.tries = 100
    assert lossy.create("a/b", b"first")
    assert min(losing.lost.values()) > 2
