"""The index of tables: who has a row, and a sorted copy that says the same."""

from pathlib import Path

import numpy as np
import pytest

from dashboard.catalogue import Catalogue
from dashboard.tables.index import TableIndex, leading, select
from stages.artifacts.artifact import Artifact
from stages.store import Store


def test_every_table_with_a_row_is_found_and_no_other(
    filled: Store, made: dict[str, Artifact], tmp_path: Path
):
    contents = Catalogue(filled).contents()
    index = TableIndex(tmp_path / "index")
    index.update(contents)
    assert index.cost.rows == sum(
        len(made[stage].table(table))
        for stage, table in [
            ("collect", "images"),
            ("collect", "rejects"),
            ("dedup", "duplicates"),
            ("score", "scores"),
            ("filter", "rejects"),
            ("filter", "selection"),
            ("shard", "index"),
        ]
    )
    repeated = set(made["collect"].table("rejects")["uid"])  # an image's URL may stand twice in the source
    uid = next(uid for uid in made["filter"].table("rejects")["uid"] if uid not in repeated)
    held = {(h.artifact.stage, h.table) for h in index.holders(contents, "uid", uid)}
    assert held == {
        ("collect", "images"),
        ("dedup", "duplicates"),
        ("score", "scores"),
        ("filter", "rejects"),
    }
    assert index.holders(contents, "uid", "0" * 32) == []
    assert index.holders(contents, "uid", "f" * 32) == []


def test_a_sha256_leads_to_uids(filled: Store, made: dict[str, Artifact], tmp_path: Path):
    contents = Catalogue(filled).contents()
    index = TableIndex(tmp_path / "index")
    index.update(contents)
    table = made["collect"].table("images")
    twice = table["sha256"].value_counts().index[0]
    (held,) = index.holders(contents, "sha256", twice)
    assert set(held.uids) == {uid[:16] for uid in table[table["sha256"] == twice]["uid"]}
    assert len(held.uids) > 1  # exact copies


def test_a_large_table_is_read_from_its_sorted_copy(
    filled: Store, made: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dashboard.tables.index.LARGE", 100)
    contents = Catalogue(filled).contents()
    index = TableIndex(tmp_path / "index")
    index.update(contents)
    assert list((tmp_path / "index").glob("*.parquet"))
    with index.database.cursor() as db:
        for stage, table in (("shard", "index"), ("collect", "images"), ("collect", "evidence/fetches")):
            rows = select(db, index, made[stage], table, "true")
            by = "uid" if table != "evidence/fetches" else "url"
            assert [row[by] for row in rows] == sorted(made[stage].table(table)[by])
            assert len(rows[0]) == len(made[stage].table(table).columns)


def test_what_is_made_once_is_not_made_again(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    contents = Catalogue(filled).contents()
    first = TableIndex(tmp_path / "index")
    first.update(contents)
    monkeypatch.setattr("dashboard.tables.index.leading", None)
    second = TableIndex(tmp_path / "index")
    second.update(contents)
    assert (second.cost.rows, second.cost.size) == (first.cost.rows, first.cost.size)


def test_leading_bits_are_sorted(made: dict[str, Artifact]):
    keys = leading(made["collect"], "rejects", "uid")
    assert np.all(np.diff(keys) >= 0)
    assert leading(made["score"], "scores", "sha256").size == 0
