"""A path means its file: whatever it is called, wherever it lies."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.collect.report.diff import diff
from stages.config.run import DedupConfig, FilterConfig, ScoreConfig, ShardConfig
from stages.dedup import dedup
from stages.filter import filter_
from stages.parquet_view import create_view, parquet
from stages.report.trace import trace_row
from stages.score import score
from stages.shard import shard
from stages.store import open_store
from stages.takedown.records import Name, drafted
from tests.stages.collect.conftest import Web, body, picture, status, web
from tests.stages.collect.test_collect import config_of, run, table

__all__ = ["web"]

NAMES = [
    "a?b",
    "a*b",
    "**",
    "a[z]b",
    "[",
    "]",
    "a{z,y}b",
    "a#b",
    "a%7Ab",
    "a b",
    "a'b",
    'a"b',
    "a;b",
    "$a",
    "~",
]
NAMES += ["$a", "~", "a:b", "s3:", "file:x", "md:x", "?x=y", "-- a", "azb", "ü→😀", "run=3", "x=1"]
ODD = "odd ?*[z]{y}#%41'\"$;:=ü→ x=1"


def write(path: Path, *values: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": values}), path)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_path_means_its_file_alone(tmp_path: Path, name: str) -> None:
    write(tmp_path / "azb" / "t.parquet", 9)
    path = write(tmp_path / name / "t.parquet", 1, 2)
    other = write(tmp_path / name / "?.parquet", 3)
    with duckdb.connect() as db:
        assert db.execute(f"SELECT * FROM {parquet(path)}").fetchall() == [(1,), (2,)]
        create_view(db, "pair", path, other)
        assert db.execute("SELECT * FROM pair ORDER BY x").fetchall() == [(1,), (2,), (3,)]


def line(store_path: Path, web: Web, rows: Path) -> dict[str, Any]:
    """Two editions with failures and late pictures, the stages after them, and what is asked of them."""
    store = open_store(str(store_path))
    late = iter((status(503), body(picture(7)), status(304)))
    web.answers["/late"] = lambda handler: next(late)(handler)
    config = config_of(rows)
    first = run(store, config)
    second = run(store, replace(config, edition="2"), first)
    duplicates = dedup(second, DedupConfig(workers=1), store=store)
    scores = score(second, None, ScoreConfig(), store=store)
    selection = filter_(second, duplicates, scores, None, FilterConfig(), store=store)
    dataset = shard(second, selection, ShardConfig(workers=1), store=store)
    made = (first, second, duplicates, scores, selection, dataset)
    taken = drafted(store, [Name("url", web.url("/a"))], "asked")
    return {
        "digests": [artifact.digest for artifact in made],
        "pictures": [artifact.funnel.rows_out for artifact in (first, second, dataset)],
        "diff": diff(first, second),
        "taken": (taken.sha256s, taken.uids),
        "trace": [
            event["stage"] for row in trace_row(store, web.url("/a"))["rows"] for event in row["events"]
        ],
    }


def test_the_line_gives_the_same_in_a_store_of_any_name(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.collect.rounds.PAUSE_SECONDS", 0.01)
    rows = table(
        tmp_path / "t.csv", [(web.url(path), "some words") for path in ("/a", "/b", "/late", "/gone")]
    )
    web.answers = {"/a": body(picture(1)), "/b": body(picture(2)), "/gone": status(404)}
    plain = line(tmp_path / "plain", web, rows)
    assert plain["pictures"] == [3, 3, 3]
    assert line(tmp_path / ODD / "store", web, rows) == plain


PYTHON_READ = re.compile(r"\bread_parquet\(|['\"]\s*\) ?\(FORMAT", re.IGNORECASE)


def test_duckdb_gets_paths_through_one_place() -> None:
    root = Path(__file__).parents[2]
    using = [
        path.relative_to(root).as_posix()
        for folder in ("stages", "flows", "sdmodel")
        for path in (root / folder).rglob("*.py")
        if "duckdb" in (text := path.read_text()) and PYTHON_READ.search(text)
    ]
    assert using == ["stages/parquet_view.py"]


def test_tables_of_artifacts_are_read_through_one_door() -> None:
    by_hand = re.compile(r"(read_table|ParquetFile|read_parquet|parquet)\(\s*\w+\.path\(")
    root = Path(__file__).parents[2]
    files = [path for folder in ("stages", "flows") for path in (root / folder).rglob("*.py")]
    assert [path.name for path in files if by_hand.search(path.read_text())] == []
