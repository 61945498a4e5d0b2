import hashlib
import io
import uuid
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.artifacts.artifact import Artifact, Funnel, Manifest, artifacts, manifest_key
from stages.artifacts.files import FileEntry, Files
from stages.errors import DamagedError
from stages.fingerprint import digest_of, request_fingerprint
from stages.store import FolderStore, Store

FINGERPRINT = request_fingerprint("collect", 1, {"limit": 3}, {"site": None, "outside": "cd" * 32})


def table() -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame({"uid": ["a", "b"], "n": [1, 2]}).to_parquet(buffer)
    return buffer.getvalue()


CONTENTS = {
    "images.parquet": table(),
    "facts.json": b'{"x": 1}',
    "model/weights.bin": b"12345678",
    "logs/t": b"1",
}


def published(
    store: Store, fingerprint: str = FINGERPRINT, stage: str = "collect", **inputs: Artifact
) -> Artifact:
    files: dict[str, FileEntry] = {}
    for name, data in CONTENTS.items():
        key = f"files/{uuid.uuid4().hex}/{name}"
        assert store.create(key, data)
        files[name] = FileEntry(key, len(data), hashlib.sha256(data).hexdigest())
    manifest = Manifest(
        fingerprint=fingerprint,
        digest=digest_of({name: entry.sha256 for name, entry in files.items()}),
        kind="images",
        stage=stage,
        version=1,
        config={"limit": 3},
        inputs={
            "site": None,
            "outside": {"digest": "cd" * 32, "fingerprint": "", "stage": ""},
            **{
                name: {"digest": one.digest, "fingerprint": one.fingerprint, "stage": one.stage}
                for name, one in inputs.items()
            },
        },
        funnel=Funnel(3, 2, {"too_small": 1}),
        statistics={"x": 1.5},
        files=files,
        code="1234",
        libraries={"python": "3.11"},
        started="2026-01-01T00:00:00.000+00:00",
        ended="2026-01-01T00:00:01.000+00:00",
        host="here",
    )
    assert store.create(manifest_key(stage, fingerprint), manifest.to_json())
    return Artifact.open(store, stage, fingerprint)


def damage(store: Store, key: str, data: bytes) -> None:
    store.delete([key])
    store.create(key, data)


# funnels

REASONS = st.dictionaries(st.sampled_from(["too_small", "timeout", "near_duplicate"]), st.integers(0, 9))
FUNNELS = st.builds(
    lambda out, reasons: Funnel(out + sum(reasons.values()), out, reasons), st.integers(0, 99), REASONS
)


@given(FUNNELS, FUNNELS, FUNNELS)
def test_funnels_add_up_in_any_order(a: Funnel, b: Funnel, c: Funnel) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert (a + b).rows_out == a.rows_out + b.rows_out
    assert a + Funnel(0, 0) == a


@given(FUNNELS, st.integers().filter(bool))
def test_a_funnel_that_does_not_close_is_our_mistake(funnel: Funnel, off: int) -> None:
    with pytest.raises(AssertionError, match="rows in"):
        Funnel(funnel.rows_in + off, funnel.rows_out, funnel.reasons)


# artifacts


def test_a_manifest_is_read_as_it_was_written(store: Store) -> None:
    artifact = published(store)
    assert artifact.manifest == Manifest.read(store, manifest_key("collect", FINGERPRINT))
    assert artifact.funnel == Funnel(3, 2, {"too_small": 1})
    assert (artifact.kind, artifact.stage, artifact.config) == ("images", "collect", {"limit": 3})
    assert artifact.cached


def test_files_are_read_whole_in_ranges_as_tables_and_as_json(store: Store) -> None:
    artifact = published(store)
    assert artifact.path("model/weights.bin").read_bytes() == b"12345678"
    assert artifact.read("model/weights.bin", 2, 3) == b"345"
    assert artifact.json("facts.json") == {"x": 1}
    assert artifact.table("images")["n"].tolist() == [1, 2]
    assert artifact.names("model/") == ["model/weights.bin"]
    with pytest.raises(ValueError, match=r"no file 'images'; there are: facts.json, images.parquet"):
        artifact.path("images")


def test_a_table_is_read_in_part_by_sql_and_as_a_data_frame(store: Store) -> None:
    artifact = published(store)
    assert artifact.has_table("images")
    assert not artifact.has_table("facts")
    assert artifact.table("images", ["uid"], [("n", ">", 1)]).to_dict("list") == {"uid": ["b"]}
    assert artifact.table("images", filters=[("uid", "in", ["a", "z"])])["n"].tolist() == [1]
    assert artifact.table("images", rows=1)["uid"].tolist() == ["a"]
    assert artifact.arrow_table("images", ["n"]).schema.field("n").type == pa.int64()
    with duckdb.connect() as db:
        assert artifact.scan(db, "images").filter("n = 2").fetchall() == [("b", 2)]
        artifact.scan(db, "images", "pictures")
        assert db.execute("SELECT sum(n) FROM images JOIN pictures USING (uid, n)").fetchall() == [(3,)]
    with pytest.raises(ValueError, match=r"no file 'rejects.parquet'"):
        artifact.table("rejects")


def test_a_table_may_lie_in_several_files(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = published(store)
    further = tmp_path / "further #1.parquet"
    pd.DataFrame({"uid": ["c", "d"], "n": [3, 4]}).to_parquet(further)
    files = [*artifact.table_files("images"), further]
    monkeypatch.setattr(Files, "table_files", lambda self, name: files)
    assert artifact.table("images")["n"].tolist() == [1, 2, 3, 4]
    assert artifact.table("images", ["uid"], [("n", "!=", 2)], rows=2)["uid"].tolist() == ["a", "c"]
    with duckdb.connect() as db:
        assert artifact.scan(db, "images").aggregate("sum(n)").fetchall() == [(10,)]


def test_laid_files_have_their_bytes(store: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = published(store).lay("model/", tmp_path_factory.mktemp("laid"))
    assert (folder / "weights.bin").read_bytes() == b"12345678"


def test_what_is_not_finished_is_not_found(store: Store) -> None:
    assert Artifact.find(store, "collect", FINGERPRINT) is None
    with pytest.raises(ValueError, match=f"no finished collect {FINGERPRINT}"):
        Artifact.open(store, "collect", FINGERPRINT)


def test_artifacts_are_listed_by_stage(store: Store) -> None:
    published(store, "11" * 32, "collect")
    published(store, "22" * 32, "dedup")
    assert [one.fingerprint for one in artifacts(store)] == ["11" * 32, "22" * 32]
    assert [one.fingerprint for one in artifacts(store, "dedup")] == ["22" * 32]
    assert list(artifacts(store, "ded")) == []


def test_inputs_lead_back_to_the_beginning_nearest_first(store: Store) -> None:
    images = published(store, "11" * 32, "collect")
    duplicates = published(store, "22" * 32, "dedup", images=images)
    selection = published(store, "33" * 32, "filter", duplicates=duplicates)
    dataset = published(store, "44" * 32, "shard", images=images, selection=selection)
    assert dataset.input("site") is None
    assert dataset.input("outside") is None
    assert [one.stage for one in dataset.ancestors()] == ["collect", "filter", "dedup"]


def test_verify_finds_nothing_on_a_whole_artifact(store: Store) -> None:
    assert published(store).verify() == []


def test_verify_finds_every_damage_even_behind_the_cache(store: Store) -> None:
    artifact = published(store)
    for name in artifact.names():
        artifact.path(name)  # in the cache, or the object itself
    damage(store, artifact.entry("facts.json").key, b'{"x": 2}')
    damage(store, artifact.entry("logs/t").key, b"")
    store.delete([artifact.entry("model/weights.bin").key])
    complaints = artifact.verify()
    assert [complaint.split()[0] for complaint in complaints] == [
        "facts.json:",
        "logs/t:",
        "model/weights.bin:",
    ]
    assert "missing" in complaints[2]
    assert hashlib.sha256(b'{"x": 2}').hexdigest() in complaints[0]


def test_a_file_that_is_read_as_a_whole_is_what_was_published(store: Store) -> None:
    artifact = published(store)
    damage(store, artifact.entry("facts.json").key, b'{"x": 2}')
    with pytest.raises(DamagedError, match=r"facts.json in .* should hash to .* restore it from a copy"):
        artifact.read("facts.json")
    assert artifact.read("facts.json", 6, 1) == b"2"  # what a part of it should be, nobody knows


def test_a_missing_file_is_damage(store: Store) -> None:
    artifact = published(store)
    store.delete([artifact.entry("facts.json").key])
    for look in (artifact.path, artifact.read, artifact.json):
        with pytest.raises(DamagedError, match=r"facts.json.* (is )?missing"):
            look("facts.json")


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00\xff", b'{"funnel": {"rows_in": 1, "rows_out": 0}}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, data: bytes) -> None:
    store = FolderStore(tmp_path)
    published(store)
    damage(store, manifest_key("collect", FINGERPRINT), data)
    with pytest.raises(DamagedError, match=f"manifests/collect/{FINGERPRINT}.json"):
        Artifact.find(store, "collect", FINGERPRINT)
