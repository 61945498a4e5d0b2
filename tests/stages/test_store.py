import errno
import hashlib
import os
import random
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from obstore.store import from_url

from stages.errors import DamagedError, NoSpaceError, RetryableError
from stages.store import Cache, RemoteStore, Store, open_store
from stages.store.format import FORMAT, KEY

CONTENT = bytes(range(256)) * 40
RECORD = b'{"format": %d}' % FORMAT


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(store: Store, key: str, data: bytes) -> None:
    path = store.scratch() / uuid.uuid4().hex
    path.write_bytes(data)
    store.put(key, path)


def test_of_all_who_create_a_record_at_once_one_wins(store: Store) -> None:
    racers = 64
    gate = threading.Barrier(racers)

    def race(number: int) -> bool:
        gate.wait()
        return store.create("races/one", f"{number}".encode())

    with ThreadPoolExecutor(racers) as threads:
        won = [number for number, first in enumerate(threads.map(race, range(racers))) if first]
    assert len(won) == 1
    assert store.read("races/one") == f"{won[0]}".encode()


def test_a_record_stands(store: Store) -> None:
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_what_is_put_is_read_whole_and_in_ranges(store: Store) -> None:
    put(store, "files/x/y.bin", CONTENT)
    size = len(CONTENT)
    assert store.read("files/x/y.bin") == CONTENT
    for offset, length in [
        (0, 10),
        (700, 300),
        (size - 5, 50),
        (size, 3),
        (5, 0),
        (size - 5, None),
        (7, None),
    ]:
        expected = CONTENT[offset:] if length is None else CONTENT[offset : offset + length]
        assert store.read("files/x/y.bin", offset, length) == expected, (offset, length)
    assert store.sha256("files/x/y.bin") == sha(CONTENT)
    assert store.fetch("files/x/y.bin", sha(CONTENT), size).read_bytes() == CONTENT


def test_an_empty_file_is_a_file(store: Store) -> None:
    put(store, "files/empty", b"")
    assert store.exists("files/empty")
    assert store.read("files/empty") == b""
    assert store.fetch("files/empty", sha(b""), 0).read_bytes() == b""


def test_putting_uses_the_file_up(store: Store) -> None:
    put(store, "files/one", b"1")
    assert not [path for path in store.scratch().rglob("*") if path.is_file()]


def test_what_is_not_there_says_so(store: Store) -> None:
    assert not store.exists("no/where")
    assert list(store.list("no")) == []
    for look in (store.read, store.sha256):
        with pytest.raises(FileNotFoundError):
            look("no/where")
    with pytest.raises(DamagedError, match="no/where"):
        store.fetch("no/where", sha(b"1"), 1)
    store.delete(["no/where"])


def test_listing_is_sorted_by_key_and_stays_below_the_folder(store: Store) -> None:
    keys = ["a/b/c", "a/b-d", "a/b/c2", "a2/x", "b", "a/ü z"]
    for key in keys:
        store.create(key, key.encode())
    assert [one.key for one in store.list("a")] == sorted(key for key in keys if key.startswith("a/"))
    assert [one.key for one in store.list("a/b")] == ["a/b/c", "a/b/c2"]
    assert [one.key for one in store.list("")] == sorted([*keys, KEY])
    assert [one.size for one in store.list("a2")] == [4]
    assert all(one.modified.tzinfo for one in store.list(""))


def test_deleting_takes_what_is_named(store: Store) -> None:
    for key in ("a/b/c", "a/b/d", "a/e"):
        store.create(key, b"x")
    store.delete(key for key in ("a/b/c", "a/b/d"))
    assert [one.key for one in store.list("")] == ["a/e", KEY]
    assert store.create("a/b/c", b"again")


def test_creating_beside_somebody_who_empties_the_folder(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    stop = threading.Event()

    def empty() -> None:
        while not stop.is_set():
            store.create("deep/er/other", b"x")
            store.delete(["deep/er/other"])

    threads = [threading.Thread(target=empty) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(100):
            assert store.create(f"deep/er/{number}", b"x")
            list(store.list("deep"))
            store.delete([f"deep/er/{number}"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_memory_is_one_store_by_name() -> None:
    name = uuid.uuid4().hex
    open_store(f"memory://{name}").create("a", b"1")
    assert open_store(f"memory://{name}").read("a") == b"1"
    assert not open_store(f"memory://{name}-other").exists("a")


# opening


@pytest.mark.parametrize("url", ["", "ftp://host/x", "s3://", "file://", "http://host"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="use a folder, s3://"):
        open_store(url)


def test_a_store_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="name a folder that can be written"):
        open_store(str(tmp_path / "file" / "store"))
    with pytest.raises(ValueError, match="has a backslash in its path"):
        open_store(str(tmp_path / "a\\b"))
    with pytest.raises(ValueError, match="there is no store at"):
        open_store(str(tmp_path / "nowhere"), writable=False)


def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "link", denied)
    with pytest.raises(ValueError, match=r"cannot be written.*check its permissions"):
        open_store(str(tmp_path))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_store_that_was_opened_for_reading_is_not_changed(tmp_path: Path) -> None:
    writing = open_store(str(tmp_path / "store"))
    assert writing.create("a", b"1")
    (writing.scratch() / "file").write_bytes(b"2")
    reading = open_store(str(tmp_path / "store"), writable=False)
    for act in (
        lambda: reading.create("b", b"1"),
        lambda: reading.put("b", writing.scratch() / "file"),
        lambda: reading.delete(["a"]),
    ):
        with pytest.raises(ValueError, match="was opened for reading"):
            act()
    assert (reading.read("a"), [listed.key for listed in reading.list("")]) == (b"1", ["a", KEY])


def test_a_bucket_that_is_not_there_is_named_in_one_line(s3: str) -> None:
    reading = RemoteStore("s3://not-here", from_url("s3://not-here", client_options={"allow_http": True}))
    for act in (
        lambda: open_store("s3://not-here"),
        lambda: open_store("s3://not-here", writable=False),
        lambda: list(reading.list("manifests")),
    ):
        with pytest.raises(ValueError, match="store s3://not-here: there is no such bucket") as told:
            act()
        assert "\n" not in str(told.value)
        assert len(str(told.value)) < 200


def test_an_object_that_is_not_there_is_named_in_one_line(s3: str) -> None:
    with pytest.raises(FileNotFoundError) as told:
        open_store(s3).read("no/where")
    assert str(told.value) == f"[Errno 2] no such object in the store: '{s3}/no/where'"


def test_opening_leaves_the_record_of_the_format_alone(store: Store) -> None:
    assert [listed.key for listed in store.list("")] == [KEY]


class Answering(BaseHTTPRequestHandler):
    """An object store of poor manners: what it does is in the server's `manner`."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        objects: dict[str, bytes] = self.server.objects  # type: ignore[attr-defined]
        code, answer = 200, b""
        if self.server.manner == "refusing":  # type: ignore[attr-defined]
            code, answer = 403, b"<Error><Code>InvalidAccessKeyId</Code></Error>"
        elif self.command == "PUT":  # If-None-Match is passed over
            objects[self.path] = body
        elif self.command in ("GET", "HEAD"):
            code, answer = (200, objects[self.path]) if self.path in objects else (404, b"")
        self.send_response(code)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_PUT = do_GET = do_HEAD = do_POST = answer  # noqa: N815 -- the base class's names

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.objects, server.manner = {f"/bucket/prefix/{KEY}": RECORD}, ""  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.usefixtures("answering")
def test_a_server_that_ignores_conditional_puts_is_refused() -> None:
    with pytest.raises(ValueError, match="ignores create-only puts"):
        open_store("s3://bucket/prefix")


def test_refused_credentials_are_named(answering: ThreadingHTTPServer) -> None:
    reading = open_store("s3://bucket/prefix", writable=False)
    answering.manner = "refusing"  # type: ignore[attr-defined]
    for writable in (True, False):
        with pytest.raises(ValueError, match=r"refuses.*check the address, the credentials"):
            open_store("s3://bucket/prefix", writable=writable)
    for act in (lambda: reading.read("a"), lambda: list(reading.list("a")), lambda: reading.exists("a")):
        with pytest.raises(ValueError, match="check the address, the credentials"):
            act()


def test_a_store_out_of_reach_may_be_tried_again(answering: ThreadingHTTPServer) -> None:
    store = open_store("s3://bucket/prefix", writable=False)
    answering.shutdown()
    answering.server_close()
    with pytest.raises(RetryableError, match="s3://bucket/prefix did not answer"):
        store.read("a")


# power failures


@pytest.mark.parametrize("way", ["create", "put"])
def test_a_name_appears_when_the_bytes_are_safe_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    store = open_store(str(tmp_path))
    events: list[str] = []
    target = tmp_path / "a" / "b"

    def fsync(descriptor: int) -> None:
        opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        what = opened.relative_to(tmp_path).as_posix() if opened.is_dir() else "bytes"
        events.append(f"{what} safe, {'named' if target.exists() else 'not named'}")

    monkeypatch.setattr(os, "fsync", fsync)
    if way == "create":
        store.create("a/b", b"1")
    else:
        put(store, "a/b", b"1")
    assert events == ["bytes safe, not named", "a safe, named", ". safe, named"]


# full disks


@pytest.mark.parametrize("operation", ["fsync", "link"])
def test_a_full_disk_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    store = open_store(str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, operation, full)
        with pytest.raises(NoSpaceError, match=r"no space left for store.*, a .*make room there"):
            store.create("a", b"1")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [KEY]
    assert store.create("a", b"1")


def test_a_real_limit_on_file_size_is_a_full_disk(tmp_path: Path) -> None:
    program = (
        "import resource, sys\n"
        "from stages.store import FolderStore\n"
        "from pathlib import Path\n"
        "store = FolderStore(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "store.create('small', b'1' * 900)\n"
        "store.create('large', b'1' * 2000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert "NoSpaceError: no space left for store" in done.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["small"]


# damage


def test_a_local_file_of_another_size_is_damaged(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    put(store, "files/x", b"12345")
    path = store.fetch("files/x", sha(b"12345"), 5)
    path.chmod(0o644)
    path.write_bytes(b"1234")
    with pytest.raises(DamagedError, match="should have 5 bytes and has 4"):
        store.fetch("files/x", sha(b"12345"), 5)


@pytest.mark.parametrize("name", ["index.parquet", "model/model.safetensors", "moments/a.npy", "report.json"])
def test_a_flipped_bit_of_a_local_file_is_noticed_before_it_is_used(tmp_path: Path, name: str) -> None:
    store, data, chance = open_store(str(tmp_path)), bytes(range(256)) * 4, random.Random(name)
    key = f"files/{name}"
    put(store, key, data)
    path = store.fetch(key, sha(data), len(data))
    path.chmod(0o644)
    for _ in range(20):
        place = chance.randrange(len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :])
        with pytest.raises(DamagedError, match=r"should hash to .*; `sdflow verify` names all"):
            store.fetch(key, sha(data), len(data))
    path.write_bytes(data)
    assert store.fetch(key, sha(data), len(data)).read_bytes() == data


def test_a_flipped_bit_of_a_cached_file_has_it_fetched_again(tmp_path: Path) -> None:
    """By a process that has not used it yet: the first one has seen it whole."""
    cache = Cache(tmp_path / "cache", 1000)
    store = remote(cache)
    put(store, "files/x", b"12345")
    path = store.fetch("files/x", sha(b"12345"), 5)
    other = path.with_name("other")  # another inode, as after a restart
    other.write_bytes(b"12344")
    other.rename(path)
    assert store.fetch("files/x", sha(b"12345"), 5).read_bytes() == b"12345"


def test_a_remote_file_with_other_bytes_is_damaged_and_not_kept(s3: str, own_cache: Path) -> None:
    store = open_store(s3)
    put(store, "files/x", b"12345")
    with pytest.raises(DamagedError, match=f"files/x should hash to {sha(b'54321')} and hashes to"):
        store.fetch("files/x", sha(b"54321"), 5)
    assert not [path for path in (own_cache / "files").rglob("*") if path.is_file()]
    assert not list((own_cache / "arriving").iterdir())


# the cache


def remote(cache: Cache) -> RemoteStore:
    store = open_store(f"memory://{uuid.uuid4().hex}", cache=cache)
    assert isinstance(store, RemoteStore)
    return store


def test_the_cache_answers_without_the_store(tmp_path: Path) -> None:
    store = remote(Cache(tmp_path / "cache", 1000))
    put(store, "a", b"12345")
    first = store.fetch("a", sha(b"12345"), 5)
    store.delete(["a"])
    assert store.fetch("a", sha(b"12345"), 5) == first


def test_a_cached_file_of_another_size_is_fetched_again(tmp_path: Path) -> None:
    store = remote(Cache(tmp_path / "cache", 1000))
    put(store, "a", b"12345")
    store.fetch("a", sha(b"12345"), 5).write_bytes(b"12")
    assert store.fetch("a", sha(b"12345"), 5).read_bytes() == b"12345"


def test_what_this_process_asked_for_stays_even_above_the_limit(tmp_path: Path) -> None:
    store = remote(Cache(tmp_path / "cache", 1000))
    contents = [bytes([number]) * 400 for number in range(5)]
    for number, content in enumerate(contents):
        put(store, f"{number}", content)
    paths = [store.fetch(f"{number}", sha(content), 400) for number, content in enumerate(contents)]
    assert all(path.is_file() for path in paths)


FETCHING = """
import sys
from pathlib import Path
from hashlib import sha256
from stages.store import Cache
cache = Cache(Path(sys.argv[1]), 1000)
for number in map(int, sys.argv[2].split(",")):
    content = bytes([number]) * 400
    name = sha256(content).hexdigest()
    print(cache.get(name, 400, lambda path: path.write_bytes(content), "it"), flush=True)
if sys.argv[3] == "wait":
    sys.stdin.read()
"""


def test_the_cache_keeps_to_its_limit_and_to_what_living_processes_asked_for(tmp_path: Path) -> None:
    def fetching(numbers: str, then: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", FETCHING, str(tmp_path), numbers, then]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def held() -> int:
        return sum(path.stat().st_size for path in (tmp_path / "files").rglob("*") if path.is_file())

    ended = fetching("1,2", "end")
    old = ended.communicate()[0].split()
    assert held() == 800
    living = fetching("3", "wait")
    assert living.stdout is not None
    kept = Path(living.stdout.readline().strip())
    assert not Path(old[0]).exists()  # the least recently used of an ended process left first
    assert Path(old[1]).exists()
    fetching("4,5", "end").communicate()
    assert kept.exists()
    assert not Path(old[1]).exists()
    living.kill()
    living.communicate()
    fetching("6,7", "end").communicate()
    assert not kept.exists()
    assert held() <= 1000


def test_many_threads_may_ask_for_one_file(tmp_path: Path) -> None:
    store = remote(Cache(tmp_path / "cache", 10**6))
    put(store, "a", CONTENT)
    with ThreadPoolExecutor(16) as threads:
        paths = set(threads.map(lambda _: store.fetch("a", sha(CONTENT), len(CONTENT)), range(64)))
    assert len(paths) == 1
    assert not list((tmp_path / "cache" / "arriving").iterdir())


def test_a_cache_that_cannot_be_written_names_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = remote(Cache(tmp_path / "file", 1000))
    put(store, "a", b"1")
    with pytest.raises(ValueError, match="set SDFLOW_CACHE"):
        store.fetch("a", sha(b"1"), 1)


def test_a_limit_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDFLOW_CACHE_BYTES", "50GB")
    with pytest.raises(ValueError, match="SDFLOW_CACHE_BYTES is '50GB'"):
        Cache.default()
