"""Results of verification: each is a record of its own, and the newest counts."""

from datetime import timedelta

import pytest

from stages.artifacts.artifact import Artifact
from stages.artifacts.gc import collect_garbage
from stages.artifacts.verification import COMPLAINTS, last_verification, newest_keys, verify_and_record
from stages.errors import DamagedError
from stages.store import FolderStore, Store
from tests.stages.artifacts.test_reference import made


def damage(store: FolderStore, artifact: Artifact) -> None:
    """Write other bytes into its first file."""
    entry = artifact.entry(artifact.names()[0])
    path = store.root / entry.key
    path.chmod(0o644)
    path.write_bytes(b"?" * entry.size)


@pytest.fixture
def folder(tmp_path) -> FolderStore:
    return FolderStore(tmp_path / "folder")


def test_the_newest_result_counts(folder: FolderStore) -> None:
    artifact = made(folder, "one")
    assert last_verification(folder, artifact.stage, artifact.fingerprint) is None
    assert verify_and_record(artifact).damaged == 0
    damage(folder, artifact)
    assert verify_and_record(artifact).damaged == 1
    result = last_verification(folder, artifact.stage, artifact.fingerprint)
    assert result is not None
    assert (result.files, result.damaged) == (1, 1)
    assert "should hash to" in result.complaints[0]


def test_a_long_list_of_complaints_is_cut_and_counted(store: Store, monkeypatch) -> None:
    artifact = made(store, "one")
    monkeypatch.setattr(artifact, "verify", lambda: ["x\x1b" * 1000] * (COMPLAINTS + 5))
    result = verify_and_record(artifact)
    assert (result.damaged, len(result.complaints)) == (COMPLAINTS + 5, COMPLAINTS)
    assert "\x1b" not in result.complaints[0]


def test_garbage_collection_leaves_results_alone(store: Store) -> None:
    artifact = made(store, "one")
    result = verify_and_record(artifact)
    collect_garbage(store, grace=timedelta(0), watch=0)
    assert last_verification(store, artifact.stage, artifact.fingerprint) == result


def test_a_damaged_result_is_named(folder: FolderStore) -> None:
    artifact = made(folder, "one")
    verify_and_record(artifact)
    (key,) = newest_keys(listed.key for listed in folder.list("verifications")).values()
    (folder.root / key).chmod(0o644)
    (folder.root / key).write_bytes(b"{}")
    with pytest.raises(DamagedError, match="verify again"):
        last_verification(folder, artifact.stage, artifact.fingerprint)
