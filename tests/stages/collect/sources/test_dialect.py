"""Texts as people share them: without a header, other delimiters, quote marks, encodings, a URL a line."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages.collect.sources.inspect import SourceGuess, inspect_sources
from stages.collect.sources.rows import SourceRow
from stages.collect.sources.tables import url_rows
from stages.config.collect import FolderSource, TarSource, UrlSource
from tests.stages.collect.conftest import picture
from tests.stages.collect.sources.test_inspect import look
from tests.stages.collect.test_sources import folder, tar

CC3M = "a very typical bus station\thttp://lh6.example/bus.jpg\nthe sea\thttp://lh6.example/sea.jpg\n"
CC12M = 'http://a.example/1.jpg\t"The Hobbit" poster, 5" wide\nhttp://a.example/2.jpg\ta "red" bird\n'


def rows_of(path: Path, **changes: Any) -> list[SourceRow]:
    return list(url_rows(UrlSource(name="web", tables=(str(path),), **changes), changed=False))


def texts(rows: list[SourceRow]) -> list[tuple[str, list[str]]]:
    return [(row.location, row.captions) for row in rows]


def guessed(path: Path) -> tuple[UrlSource, SourceGuess]:
    guess = look(path)
    assert isinstance(guess.source, UrlSource)
    return guess.source, guess


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_tables_without_a_header(tmp_path: Path) -> None:
    cc3m, cc12m = written(tmp_path / "cc3m.tsv", CC3M), written(tmp_path / "cc12m.tsv", CC12M)
    expected = [
        ("http://lh6.example/bus.jpg", ["a very typical bus station"]),
        ("http://lh6.example/sea.jpg", ["the sea"]),
    ]
    rows = rows_of(cc3m, url_column="2", caption_columns=("1",))
    assert texts(rows) == expected
    assert [row.row for row in rows] == ["web:cc3m.tsv:0", "web:cc3m.tsv:1"]
    expected = [
        ("http://a.example/1.jpg", ['"The Hobbit" poster, 5" wide']),
        ("http://a.example/2.jpg", ['a "red" bird']),
    ]
    assert texts(rows_of(cc12m, url_column="1", caption_columns=("2",), quotes=False)) == expected
    blank = written(tmp_path / "blank.csv", "\nx,\ny,http://a.example/\n")
    rows = rows_of(blank, header=False, url_column="2", caption_columns=("1",))
    assert [row.reason for row in rows] == ["empty_url", ""]


@pytest.mark.parametrize(
    ("name", "text", "encoding", "words"),
    [
        ("t.tsv", CC3M, "utf-8", r"it has: '1', '2'; its first line is no header.* by position"),
        ("t.csv", "url;caption\nhttp://a/;x\n", "utf-8", r"line 1 .* by ';': set the source's `delimiter`"),
        ("t.csv", "http://a.example/;x\n", "utf-8", r"line 1 seems to be parted by ';'"),
        ("t.csv", "url\tcaption\nhttp://a/\tx\n", "utf-8", r"line 1 seems to be parted by '\\t'"),
        ("t.csv", "url,caption\nhttp://a/,x\nb,caf\xe9\n", "latin-1", r"line 3, is no utf-8 \(byte 0xe9\)"),
        ("t.tsv", 'url\tcaption\nhttp://a/\t"x" y\n', "utf-8", r"line 2, .*set the source's `quotes: false`"),
        ("t.csv", "url,caption\nhttp://a/,x\n", "utf-16", r"line 1, is no utf-8 \(byte 0xff\)"),
        ("t.txt", "http://a.example/\n", "utf-8", r"a list of URLs.*`caption_columns: \[\]`"),
    ],
)  # fmt: skip
def test_what_is_laid_out_otherwise_is_told_with_line_and_remedy(
    tmp_path: Path, name: str, text: str, encoding: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        rows_of(written(tmp_path / name, text, encoding))


@pytest.mark.parametrize(
    ("name", "text", "encoding", "expected"),
    [
        ("t.tsv", CC3M, "utf-8", {"header": False, "url_column": "2", "caption_columns": ("1",)}),
        ("t.tsv", CC12M, "utf-8",
            {"header": False, "quotes": False, "url_column": "1", "caption_columns": ("2",)}),
        ("t.csv", "url;caption\nhttp://a.example/1;a red bird\n", "utf-8", {"delimiter": ";"}),
        ("t.csv", 'url;caption\nhttp://a.example/1;"red; a bird"\nhttp://a.example/2;x\n', "utf-8",
            {"delimiter": ";"}),
        ("t.csv", "url,caption\nhttp://a.example/1,un caf\xe9\n", "latin-1", {"encoding": "cp1252"}),
        ("t.csv", "url,caption\nhttp://a.example/1,a \x81 b\n", "latin-1", {"encoding": "latin-1"}),
        ("t.tsv", "url\tcaption\nhttp://a.example/1\tun caf\xe9\n", "utf-16", {"encoding": "utf-16"}),
        ("t.csv.gz", "url|caption\nhttp://a.example/1|a, bird\n", "utf-8", {"delimiter": "|"}),
        ("t.txt", "http://a.example/1\n\nhttp://a.example/2\n", "utf-8", {"caption_columns": ()}),
    ],
)  # fmt: skip
def test_what_init_guesses_is_what_collect_reads(
    tmp_path: Path, name: str, text: str, encoding: str, expected: dict[str, Any]
) -> None:
    import gzip

    data = text.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    source, guess = guessed(tmp_path / name)
    assert source == UrlSource(name="t", tables=(str(tmp_path / name),), **expected)
    assert set(guess.why) >= expected.keys() - {"url_column", "caption_columns"}
    rows = list(url_rows(source, changed=False))
    assert all(row.location.startswith("http") and not row.reason for row in rows)
    assert all(row.captions for row in rows) == (name != "t.txt")
    assert len(rows) == text.count("http")


def test_a_frame_s_index_is_not_passed_on(tmp_path: Path) -> None:
    frame = pd.DataFrame({"url": ["http://a.example/1", "http://a.example/2"], "caption": "a bird", "n": 1})
    frame.to_csv(tmp_path / "a.csv")
    pd.read_csv(tmp_path / "a.csv").to_csv(tmp_path / "b.csv", index=False)
    frame.iloc[::-1].to_parquet(tmp_path / "c.parquet")
    for name in ("a.csv", "b.csv", "c.parquet"):
        source, _ = guessed(tmp_path / name)
        assert source.columns == ("n",)
    (row, _) = rows_of(tmp_path / "b.csv", columns=("Unnamed: 0",))  # whoever names it has it
    assert row.columns == '{"Unnamed: 0": "0"}'


def test_init_refuses_rows_longer_than_their_header(tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv", "url;caption\nhttp://a.example/1;red; a bird\n")
    with pytest.raises(ValueError, match=r"line 2, has 3 cells, the first line 2; put cells with ';'"):
        guessed(table)


def test_init_refuses_what_collect_will_refuse(tmp_path: Path) -> None:
    good = "url,caption\nhttp://a.example/1,a red bird\n"
    for number in range(3):
        written(tmp_path / f"{number}.csv", good)
    written(tmp_path / "3.csv", "link,caption\nhttp://a.example/1,a red bird\n")
    with pytest.raises(ValueError, match=r"3\.csv' has no column 'url'"):
        look(tmp_path / "*.csv")
    written(tmp_path / "long.csv", good + "http://a.example/2,a, b\n")
    with pytest.raises(ValueError, match="line 3, has 3 cells"):
        look(tmp_path / "long.csv")
    for name in ("1.csv", "2.csv"):
        written(tmp_path / name, "")
    with pytest.raises(ValueError, match="no column"):
        inspect_sources([str(tmp_path / "0.csv"), str(tmp_path / "1.csv")])


def test_metadata_under_other_names_and_keys_of_json(tmp_path: Path) -> None:
    named = folder(
        tmp_path / "named",
        {"sub/a.png": picture(1), "captions.csv": b"id,path,description\n1,sub\\a.png,a red bird\n"},
    )
    assert look(named).source == FolderSource(
        name="named",
        folder=str(named),
        metadata=("captions.csv",),
        file_column="path",
        caption_column="description",
    )
    beside = folder(tmp_path / "beside", {"a.png": picture(1), "a.json": b'{"prompt": "a red bird", "n": 1}'})
    guess = look(beside)
    assert guess.source == FolderSource(name="beside", folder=str(beside), caption_keys=("prompt",))
    assert "1 have a .json beside them" in guess.saw
    path = tar(tmp_path / "t.tar", {"a.png": picture(1), "a.json": b'{"text": ["a bird"], "prompt": ""}'})
    assert look(path).source == TarSource(name="t", tars=(str(path),), caption_keys=("text",))
    kohya = folder(tmp_path / "kohya", {"10_rex dog/a.png": picture(1)})
    assert "number before their names" in look(kohya).why["repeats"]
