"""What changed between two versions: every picture counted once, every removal with its reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.collect.report.diff import CHANGES, Diff, changes, diff, diff_tables
from stages.record import REJECTS, uid_of
from stages.store import Store, open_store
from tests.stages.versions import Row, collection, dataset, image, reject, write

OLD = [image(name) for name in ("kept", "changed", "retold", "gone", "moved")]
OLD_REJECTS = [reject("late", "timeout"), reject("bad", "bad_url")]
NEW = [
    image("kept"),
    image("changed", sha256="f" * 64),
    image("retold", captions=["other words"]),
    image("late"),
    image("fresh"),
]
NEW_REJECTS = [
    reject("gone", "http_not_found"),
    reject("gone", "duplicate_url", merged_into=uid_of("test", "gone")),
    reject("kept", "duplicate_url", merged_into=uid_of("test", "kept")),
    reject("bad", "bad_url"),
]
EXPECTED = {
    "added": 2,
    "added_after": {"new_row": 1, "timeout": 1},
    "same_bytes": 2,
    "captions_changed": 1,
    "changed": 1,
    "removed": {"http_not_found": 1, "left_the_table": 1},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def counts(found: Diff) -> dict[str, Any]:
    told = json.loads(found.to_json())
    del told["examples"]
    return told


def test_every_picture_is_counted_once(store: Store):
    before, after = collection(store, OLD, OLD_REJECTS), collection(store, NEW, NEW_REJECTS)
    found = diff(before, after)
    assert counts(found) == EXPECTED
    assert [(one.change, one.reason, one.location.rpartition("/")[2]) for one in found.examples] == [
        ("added", "new_row", "fresh.jpg"),
        ("added", "timeout", "late.jpg"),
        ("captions", "", "retold.jpg"),
        ("changed", "", "changed.jpg"),
        ("removed", "http_not_found", "gone.jpg"),
        ("removed", "left_the_table", "moved.jpg"),
    ]


def test_tables_that_are_not_published_yet_compare_alike(tmp_path: Path):
    paths = [
        write(tmp_path / name, rows, **schema)
        for name, rows, schema in (
            ("old.parquet", OLD, {}),
            ("it's old rejects.parquet", OLD_REJECTS, {"schema": REJECTS}),
            ("new.parquet", NEW, {}),
            ("new rejects.parquet", NEW_REJECTS, {"schema": REJECTS}),
        )
    ]
    found = diff_tables(*([path] for path in paths))
    assert counts(found) == EXPECTED
    assert Diff.from_json(found.to_json()) == found


def test_the_first_version_adds_everything(store: Store):
    found = diff(None, collection(store, NEW, NEW_REJECTS))
    assert (found.added, found.added_after, found.same_bytes, found.removed) == (5, {"new_row": 5}, 0, {})


def test_captions_are_compared_as_sets(store: Store):
    before = collection(store, [image("a", captions=["one", "two"]), image("b", captions=[])])
    after = collection(store, [image("a", captions=["two", "one"]), image("b", captions=["three"])])
    assert diff(before, after).captions_changed == 1


def test_examples_are_few(store: Store):
    before = collection(store, [])
    after = collection(store, [image(str(number)) for number in range(20)])
    assert [one.change for one in diff(before, after).examples] == ["added"] * 3


def test_changes_are_all_that_differ(store: Store):
    before, after = collection(store, OLD, OLD_REJECTS), collection(store, NEW, NEW_REJECTS)
    table = changes(before, after)
    assert table.schema == CHANGES
    rows = table.to_pylist()
    assert [row["uid"] for row in rows] == sorted(row["uid"] for row in rows)
    assert {(row["location"][20:-4], row["change"], row["reason"]) for row in rows} == {
        ("changed", "changed", ""),
        ("retold", "captions", ""),
        ("gone", "removed", "http_not_found"),
        ("moved", "removed", "left_the_table"),
        ("late", "added", "timeout"),
        ("fresh", "added", "new_row"),
    }


def test_datasets_give_the_reasons_of_their_selection_and_their_collection(store: Store):
    images = collection(store, OLD, OLD_REJECTS)
    before = dataset(store, images, ["kept", "changed", "gone", "moved"], [reject("retold", "no_caption")])
    later = collection(store, NEW, NEW_REJECTS)
    refused = [reject("kept", "near_duplicate", merged_into=uid_of("test", "fresh"))]
    after = dataset(store, later, ["changed", "retold", "late", "fresh"], refused)
    assert counts(diff(before, after)) == {
        "added": 3,
        "added_after": {"new_row": 1, "no_caption": 1, "timeout": 1},
        "same_bytes": 0,
        "captions_changed": 0,
        "changed": 1,
        "removed": {"http_not_found": 1, "left_the_table": 1, "near_duplicate": 1},
    }


def test_only_like_is_compared_with_like(store: Store):
    images = collection(store, OLD)
    packed = dataset(store, images, ["kept"])
    with pytest.raises(ValueError, match=r"collect/.* and shard/.* are of different stages; compare two"):
        diff(images, packed)
    selection = packed.input("selection")
    assert selection is not None
    with pytest.raises(ValueError, match=r"filter/.* is neither a collection"):
        diff(selection, selection)


NAMES = st.sampled_from("abcdefgh")
FATES = st.sampled_from(["absent", "held", "other bytes", "other captions", "timeout", "taken_down"])


def _rows(fates: dict[str, str]) -> tuple[list[Row], list[Row]]:
    held = {
        "held": {},
        "other bytes": {"sha256": "e" * 64},
        "other captions": {"captions": ["other"]},
    }
    images = [image(name, **held[fate]) for name, fate in fates.items() if fate in held]
    refused = [reject(name, fate) for name, fate in fates.items() if fate in ("timeout", "taken_down")]
    return images, refused


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(NAMES, FATES), st.dictionaries(NAMES, FATES))
def test_the_counts_close(tmp_path_factory: pytest.TempPathFactory, old: dict[str, str], new: dict[str, str]):
    folder = tmp_path_factory.mktemp("closed")
    (before, refused_before), (after, refused_after) = _rows(old), _rows(new)
    found = diff_tables(
        [write(folder / "a", before)],
        [write(folder / "b", refused_before, REJECTS)],
        [write(folder / "c", after)],
        [write(folder / "d", refused_after, REJECTS)],
    )
    assert found.added + found.same_bytes + found.changed == len(after)
    assert found.same_bytes + found.changed + sum(found.removed.values()) == len(before)
    assert sum(found.added_after.values()) == found.added
    pairs = [(was, now) for was in before for now in after if was["uid"] == now["uid"]]
    assert found.changed == sum(was["sha256"] != now["sha256"] for was, now in pairs)
    assert found.captions_changed == sum(
        was["sha256"] == now["sha256"] and was["captions"] != now["captions"] for was, now in pairs
    )
    gone = [name for name, fate in old.items() if fate in ("held", "other bytes", "other captions")]
    for reason in ("timeout", "taken_down"):
        assert found.removed.get(reason, 0) == sum(new.get(name) == reason for name in gone)
