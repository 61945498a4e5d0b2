"""A look beforehand: it asks nobody, it adds up, and it says what `collect` then does."""

import csv
import socket
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.artifacts.artifact import Artifact
from stages.collect.collect import collect
from stages.collect.preview.preview import Preview, preview
from stages.collect.sources.files import snapshot
from stages.config.collect import CollectConfig, FolderSource, ParquetSource, TarSource, UrlSource
from stages.store import Store, open_store
from stages.takedown.records import Name, forget, takedowns
from tests.stages.collect.conftest import Web, picture, status

GOOD = st.builds("http://{}.example/{}".format, st.sampled_from("ab"), st.integers(0, 5))
BAD = st.sampled_from(["", "ftp://a.example/1", "http://u:p@a.example/1", "http://0x7f.1/", "nothing"])
TOLD = st.lists(st.tuples(GOOD | BAD, st.sampled_from(["a bird", ""])), min_size=1, max_size=25)


def table(path: Path, rows: Any) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("url", "caption"), *rows])
    return path


def look(config: CollectConfig, previous: Artifact | None = None, gone: Any = None, **more: Any) -> Preview:
    with tempfile.TemporaryDirectory() as scratch:
        report = preview(previous, snapshot(config), gone, config, scratch=Path(scratch), **more)
    refused = sum(report.refused.values())
    assert report.rows == (
        refused
        + report.duplicates
        + report.already_collected
        + report.waiting
        + report.to_fetch
        + report.to_copy
    )
    return report


def web_source(path: Path, name: str = "web", **changes: Any) -> UrlSource:
    return UrlSource(name=name, tables=(str(path),), **changes)


@pytest.fixture
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a request")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("_offline")
@settings(max_examples=15, deadline=None)
@given(first=TOLD, second=TOLD)
def test_every_row_is_counted_once(first: Any, second: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first_table, second_table = table(Path(folder, "1.csv"), first), table(Path(folder, "2.csv"), second)
        report = look(CollectConfig(urls=(web_source(first_table, "one"), web_source(second_table, "two"))))
    good = [{url for url, _ in rows if ".example/" in url and url.startswith("http://") and "@" not in url}
            for rows in (first, second)]  # fmt: skip
    assert report.rows == len(first) + len(second)
    assert report.to_fetch == sum(map(len, good))
    assert report.urls == len(good[0] | good[1])
    urls_by_host = Counter(url.split("/")[2] for url in good[0] | good[1])
    assert {host.host: host.urls for host in report.forecast.greatest} == urls_by_host
    assert report.sources["one"].captioned == pytest.approx(sum(bool(c) for _, c in first) / len(first))
    # Rows without a URL are all refused; other refused rows that are alike are one and its duplicates.
    empty = sum(url == "" for url, _ in (*first, *second))
    assert report.refused.get("empty_url", 0) == empty


@pytest.mark.usefixtures("_offline")
def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    urls = (
        [f"http://big.example/{number}" for number in range(30)] + ["http://b.example/"] * 2 + ["s3://x"] * 3
    )
    path = table(tmp_path / "t.csv", [(url, "") for url in urls])
    source = web_source(path, obey=("robots",), allow_networks=("10.0.0.0/8",))
    config = CollectConfig(urls=(source,), connections=0, limit=40, per_second=0.0001)
    report = look(config, store=tmp_path / "none" / "yet")
    problems = "\n".join(report.problems)
    for words in (
        "no contact is given",
        "97% of the URLs are at big.example",
        "big.example alone takes 3.5 days",
        "collect.connections is 0",
        "9% of the rows of source 'web' are refused as they stand: url_scheme 3",
        "all of the rows of source 'web' have no caption",
        "all of the rows of source 'web' state no licence",
        "does not obey x-robots-tag, aipref, tdmrep",
        "may connect to 10.0.0.0/8",
        "at most 40 rows",
    ):
        assert words in problems, problems
    assert report.free
    assert look(replace(config, contact="x@y.example")).problems == report.problems[1:]


@pytest.mark.usefixtures("_offline")
def test_a_good_source_needs_no_words(tmp_path: Path) -> None:
    rows = [(f"https://h{number}.example/", "a bird") for number in range(9)]
    source = web_source(table(tmp_path / "t.csv", rows), licence="CC0")
    report = look(CollectConfig(urls=(source,), contact="me@example.org"), store=tmp_path)
    assert report.problems == []
    assert report.sources["web"].columns == ["url", "caption"]
    assert report.sources["web"].captions == {"caption": 1.0}


@pytest.mark.usefixtures("_offline")
def test_files_are_copied_and_take_space(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    report = look(CollectConfig(folders=(FolderSource(name="p", folder=str(tmp_path)),)))
    assert (report.to_copy, report.urls, report.forecast.bytes) == (4, 0, size)
    assert not any("contact" in words for words in report.problems)
    with pytest.raises(ValueError, match="has no rows"):
        look(CollectConfig(urls=(web_source(table(tmp_path / "t.csv", [])),)))


def test_files_that_a_table_names_are_looked_for(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "metadata.csv").write_text("file_name,text\na.png,one\nb.png,two\nno/c.png,three\n")
    config = CollectConfig(folders=(FolderSource(name="in", folder=str(folder)),), workers=1)
    seen = look(config)
    assert (seen.to_copy, seen.refused) == (0, {"missing_file": 3})
    assert seen.problems[0].startswith(
        "nothing would be collected: collect took in 0 of 3 rows: 3 missing_file"
    )
    (folder / "b.png").write_bytes(picture(1))
    seen = look(config)
    assert (seen.to_copy, seen.refused) == (1, {"missing_file": 2})
    assert not any("nothing would" in words for words in seen.problems)
    assert any("67% of the rows of source 'in' are refused as they stand" in words for words in seen.problems)
    images = collect(None, snapshot(config), None, config, store=store)
    assert (images.funnel.rows_out, dict(images.funnel.reasons)) == (1, {"missing_file": 2})
    assert set(images.table("rejects")["detail"]) == {"No such file or directory"}


@pytest.mark.parametrize("kind", ["tables", "folder", "tars", "parquets"])
def test_a_source_that_is_not_there_is_refused_before_anything_is_asked(tmp_path: Path, kind: str) -> None:
    gone = str(tmp_path / "gone.parquet")
    sources: dict[str, Any] = {
        "tables": {"urls": (UrlSource(name="s", tables=(gone,)),)},
        "folder": {"folders": (FolderSource(name="s", folder=gone),)},
        "tars": {"tars": (TarSource(name="s", tars=(gone,)),)},
        "parquets": {"parquets": (ParquetSource(name="s", tables=(gone,)),)},
    }
    with pytest.raises(
        ValueError, match=r"source 's': there is no (file|folder) '.*gone.parquet'; check the"
    ):
        look(CollectConfig(**sources[kind]))


@pytest.fixture
def store() -> Store:
    return open_store(f"memory://{uuid.uuid4().hex}")


def test_it_says_what_collect_then_does(
    web: Web, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [web.serve(f"/{number}", picture(number)) for number in range(6)]
    web.answers["/gone"] = status(404)
    path = table(tmp_path / "t.csv", [(url, "a bird") for url in [*urls[:4], urls[0], web.url("/gone")]])
    config = CollectConfig(
        urls=(web_source(path, allow_networks=("127.0.0.0/8",)),), workers=1, connections=0, per_second=0
    )
    before = look(config)
    assert web.asked.total() == 0
    assert (before.urls, before.duplicates, before.to_fetch, before.already_collected) == (5, 1, 5, 0)
    first = collect(None, snapshot(config), None, config, store=store)
    assert first.statistics["fetched"] == before.urls
    table(path, [(url, "a bird") for url in [*urls[:3], *urls[4:], web.url("/gone"), "nothing"]])
    config = replace(config, edition="2")
    second = look(config, first)
    assert (second.already_collected, second.waiting, second.to_fetch, second.refused) == (
        3,
        1,
        2,
        {"bad_url": 1},
    )
    after = collect(first, snapshot(config), None, config, store=store)
    assert after.statistics["fetched"] == second.urls
    assert after.statistics["pictures_carried"] == second.already_collected
    assert after.statistics["rejections_carried"] == second.waiting
    forget(store, [Name("url", urls[4])], "asked to")
    third = look(replace(config, edition="3"), first, takedowns(store))
    assert (third.to_fetch, third.refused) == (1, {"bad_url": 1, "taken_down": 1})
    monkeypatch.setattr(
        "stages.collect.preview.preview.time", SimpleNamespace(time=lambda: time.time() + 86400)
    )
    stale = replace(config, urls=(replace(config.urls[0], revalidate_days=0.5),))
    fourth = look(stale, after)
    assert (fourth.already_collected, fourth.to_fetch, fourth.urls) == (
        5,
        0,
        5,
    )  # asked again, as they may have changed
