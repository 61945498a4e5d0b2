"""Approvals: which version they let through, and what a damaged one does."""

from dataclasses import replace

import pytest

from stages.artifacts.approval import approvals
from stages.artifacts.reference import ON_HOLD, approve, refer, references, resolve
from stages.artifacts.tombstone import Tombstone
from stages.errors import DamagedError
from stages.store import FolderStore, Store, open_store
from stages.verify import verify_store
from tests.stages.artifacts.test_reference import made

NAME = "datasets/birds"


def filed(store: Store) -> None:
    """Three versions, of which the first and the last are on hold."""
    refer(store, NAME, made(store, "one"), {ON_HOLD: ["too few"]})
    refer(store, NAME, made(store, "two"))
    refer(store, NAME, made(store, "three"), {ON_HOLD: ["too few", "too different"]})


def test_the_newest_that_is_not_on_hold_is_meant(store: Store) -> None:
    filed(store)
    assert resolve(store, NAME).read("word.txt") == b"two"
    assert resolve(store, f"{NAME}@3").read("word.txt") == b"three"
    entry, approval = approve(store, f"{NAME}@3", why=" seen \n and well ", by="ann")
    assert (entry.on_hold, approval.why, approval.by) == (
        ("too few", "too different"),
        "seen and well",
        "ann",
    )
    assert resolve(store, NAME).read("word.txt") == b"three"
    # Whoever approves second learns of the first.
    assert approve(store, f"{NAME}@3", why="again", by="bob")[1] == approval
    assert approvals(store, NAME) == {3: approval}


def test_where_every_version_is_on_hold_the_error_says_why_and_what_to_do(store: Store) -> None:
    refer(store, NAME, made(store, "one"), {ON_HOLD: ["3 pictures, fewer than min_rows=4"]})
    with pytest.raises(ValueError, match=r"fewer than min_rows=4.*`sdflow approve datasets/birds@1 --why"):
        resolve(store, NAME)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (NAME, "names no version with its number, as datasets/birds@7; on hold are datasets/birds@1, "),
        (f"{NAME}@latest", "names no version with its number"),
        (f"{NAME}@9", "names no version with its number"),
        (f"{NAME}@2", "datasets/birds@2 is not on hold"),
        ("datasets/../x@1", "names no version with its number"),
    ],
)
def test_only_versions_on_hold_are_approved(store: Store, text: str, says: str) -> None:
    filed(store)
    with pytest.raises(ValueError, match=says):
        approve(store, text, why="seen", by="ann")
    assert approvals(store, NAME) == {}


def test_a_version_that_was_dropped_is_not_approved(store: Store) -> None:
    filed(store)
    word = resolve(store, f"{NAME}@1")
    (entry, *_) = references(store, NAME)
    time = "2026-01-02T03:04:05+00:00"
    tombstone = Tombstone(replace(word.manifest, files={}), 1, 3, (str(entry),), time, "retention")
    store.create(tombstone.key, tombstone.to_json())
    store.delete([f"refs/{NAME}/00000001.json", f"manifests/{word.stage}/{word.fingerprint}.json"])
    with pytest.raises(ValueError, match=r"datasets/birds@1 was dropped on 2026-01-02.*nothing to approve"):
        approve(store, f"{NAME}@1", why="seen", by="ann")


def test_reasons_are_bounded(store: Store) -> None:
    filed(store)
    for why, by in (("", "ann"), ("  \n", "ann"), ("x" * 1001, "ann"), ("seen", ""), ("seen", "a" * 201)):
        with pytest.raises(ValueError, match="characters; give 1 to"):
            approve(store, f"{NAME}@3", why=why, by=by)
    assert approvals(store, NAME) == {}


def test_an_approval_lets_no_other_artifact_of_that_number_through(tmp_path) -> None:
    store = open_store(str(tmp_path / "store"))
    assert isinstance(store, FolderStore)
    filed(store)
    approve(store, f"{NAME}@3", why="seen", by="ann")
    (store.root / f"refs/{NAME}/00000003.json").unlink()
    refer(store, NAME, made(store, "four"), {ON_HOLD: ["too few"]})
    assert [entry.number for entry in references(store, NAME)] == [1, 2, 3]
    assert resolve(store, NAME).read("word.txt") == b"two"
    with pytest.raises(ValueError, match="approves another version that had the name datasets/birds@3"):
        approve(store, f"{NAME}@3", why="seen", by="ann")


def test_a_damaged_approval_is_named_and_lets_nothing_through(tmp_path) -> None:
    store = open_store(str(tmp_path / "store"))
    assert isinstance(store, FolderStore)
    filed(store)
    approve(store, f"{NAME}@3", why="seen", by="ann")
    assert verify_store(store).damaged == 0
    path = store.root / f"approvals/{NAME}/00000003.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"seen", b"none"))
    complaints = [key for key, words in verify_store(store).complaints.items() if words]
    assert complaints == [f"approvals/{NAME}/00000003.json"]
    with pytest.raises(DamagedError, match="or delete it: then its version is on hold again"):
        resolve(store, NAME)
    path.unlink()
    assert resolve(store, NAME).read("word.txt") == b"two"
