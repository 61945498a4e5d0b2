import hashlib
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from stages.artifacts.amendment import Replacement, all_amendments, amend, amendments
from stages.artifacts.artifact import Artifact, Funnel, artifacts, manifest_key
from stages.artifacts.gc import collect_garbage
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store

NOW = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Config:
    words: tuple[str, ...] = ()


@stage(version=1, kind="spelling")
def spell(config: Config, out: Output) -> Stats:
    for word in config.words:
        out.write(f"{word}.txt").write_text(word)
    return Stats(Funnel(0, 0))


def change(store: Store, artifact: Artifact, path: str, data: bytes) -> Replacement:
    """Other bytes for a file, put into the store."""
    sha256 = hashlib.sha256(data).hexdigest()
    key = f"files/purge/{sha256[:8]}/{path}"
    folder = store.scratch()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / sha256).write_bytes(data)
    store.put(key, folder / sha256)
    old = artifact.entry(path)
    return Replacement(path, key, len(data), sha256, old.key, old.sha256)


@pytest.fixture
def artifact(store: Store) -> Artifact:
    return spell(Config(words=("ab", "cd")), store=store)


def test_readers_get_the_files_as_amended_and_the_manifest_as_it_was(store: Store, artifact: Artifact):
    manifest = store.read(manifest_key("spell", artifact.fingerprint))
    assert artifact.amendments == ()
    first = change(store, artifact, "ab.txt", b"\0\0")
    amend(store, "spell", artifact.fingerprint, [first], "why", 3)
    for now in (
        Artifact.open(store, "spell", artifact.fingerprint),
        spell(Config(words=("ab", "cd")), store=store),
        *artifacts(store),
        *artifacts(store, "spell"),
    ):
        assert now.read("ab.txt") == now.path("ab.txt").read_bytes() == b"\0\0"
        assert now.read("cd.txt") == b"cd"
        assert (now.fingerprint, now.digest) == (artifact.fingerprint, artifact.digest)
        assert [(one.takedown, one.reason, one.changes) for one in now.amendments] == [(3, "why", (first,))]
        assert now.verify() == []
    assert store.read(manifest_key("spell", artifact.fingerprint)) == manifest


def test_the_last_amendment_of_a_file_counts(store: Store, artifact: Artifact):
    for data in (b"\0b", b"\0\0"):
        now = Artifact.open(store, "spell", artifact.fingerprint)
        amend(store, "spell", artifact.fingerprint, [change(store, now, "ab.txt", data)], "why", 1)
    now = Artifact.open(store, "spell", artifact.fingerprint)
    assert now.read("ab.txt") == b"\0\0"
    assert [one.changes[0].replaces_sha256 for one in now.amendments] == [
        hashlib.sha256(data).hexdigest() for data in (b"ab", b"\0b")
    ]
    assert [one.key for one in store.list("amendments")] == [
        f"amendments/spell/{artifact.fingerprint}/{number:08d}.json" for number in (1, 2)
    ]


def test_verify_compares_with_the_amendment(store: Store, artifact: Artifact):
    good = change(store, artifact, "ab.txt", b"\0\0")
    wrong = Replacement(good.path, good.key, good.size, "0" * 64, good.replaces, good.replaces_sha256)
    amend(store, "spell", artifact.fingerprint, [wrong], "why", 1)
    (complaint,) = Artifact.open(store, "spell", artifact.fingerprint).verify()
    assert complaint.startswith("ab.txt: should hash to 0000")


def test_gc_keeps_what_amendments_name_and_takes_what_they_replaced(store: Store, artifact: Artifact):
    amend(store, "spell", artifact.fingerprint, [change(store, artifact, "ab.txt", b"\0\0")], "why", 1)
    change(store, artifact, "cd.txt", b"never named")
    assert collect_garbage(store, grace=NOW).files == 2
    now = Artifact.open(store, "spell", artifact.fingerprint)
    assert {one.key for one in store.list("files")} == {entry.key for entry in now.files.values()}
    assert now.verify() == []


def test_gc_sees_an_amendment_that_comes_while_it_works(store: Store, artifact: Artifact):
    class Late:
        """Amends when leases are looked at for the second time: manifests have been read by then."""

        looks = 0

        def __getattr__(self, name: str):
            return getattr(store, name)

        def list(self, prefix: str):
            if prefix == "leases":
                self.looks += 1
                if self.looks == 3:
                    amend(store, "spell", artifact.fingerprint, [late], "why", 1)
            return store.list(prefix)

    late = change(store, artifact, "ab.txt", b"\0\0")
    watched = Late()
    collect_garbage(watched, grace=NOW)
    assert watched.looks >= 3
    assert Artifact.open(store, "spell", artifact.fingerprint).verify() == []


def test_of_many_at_once_none_is_lost(tmp_path: Path, store: Store, artifact: Artifact):
    changes = [change(store, artifact, "ab.txt", bytes([0, n])) for n in range(6)]
    threads = [
        threading.Thread(target=amend, args=(store, "spell", artifact.fingerprint, [one], "why", n))
        for n, one in enumerate(changes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = amendments(store, "spell", artifact.fingerprint)
    assert {one.takedown for one in found} == set(range(6))
    assert all_amendments(store)["spell", artifact.fingerprint] == found
