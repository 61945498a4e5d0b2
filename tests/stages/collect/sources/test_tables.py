"""Tables of URLs: every format, cell and file system, and every way in which a table can be wrong."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.sources.files import SourceFile, snapshot
from stages.collect.sources.rows import SourceRow
from stages.collect.sources.tables import read_table, url_rows
from stages.config.collect import CollectConfig, UrlSource
from stages.record import uid_of

TOLD = [
    {"url": "http://Example.com/a", "caption": "a cat, sitting", "licence": "cc", "score": 0.5},
    {"url": "http://example.com/b", "caption": "", "licence": "cc0", "score": None},
    {"url": None, "caption": "no url", "licence": None, "score": 1.0},
    {"url": "file:///etc/passwd", "caption": 'ün "ï"\ncode', "licence": "", "score": 2.0},
]


def packed(name: str, data: bytes) -> bytes:
    """The bytes as the name's suffix says; in two frames, as tools that work in parallel write them."""
    pack = {"gz": gzip.compress, "zst": zstandard.compress}.get(name.rpartition(".")[2])
    return pack(data[:40]) + pack(data[40:]) if pack else data


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ".csv" in path.name.lower() or ".tsv" in path.name:
        text = pd.DataFrame(rows).to_csv(index=False, sep="\t" if ".tsv" in path.name else ",")
        path.write_bytes(packed(path.name, b"\xef\xbb\xbf" + text.encode()))
    else:
        text = "\n".join(json.dumps(row) for row in rows) + "\n\n"
        path.write_bytes(packed(path.name, text.encode()))
    return path


def rows_of(*tables: Path | str, **changes: Any) -> list[SourceRow]:
    source = UrlSource(name="web", tables=tuple(map(str, tables)), **changes)
    return list(url_rows(source, changed=False))


TEXTS = [
    f"t.{kind}{packing}" for kind in ("csv", "tsv", "jsonl", "ndjson") for packing in ("", ".gz", ".zst")
]


@pytest.mark.parametrize("name", ["t.parquet", "T.1.CSV", *TEXTS])
def test_every_kind_of_table_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    rows = rows_of(write(tmp_path / name, TOLD), columns=("licence",))
    assert [row.location for row in rows[:3]] == ["http://example.com/a", "http://example.com/b", ""]
    assert [row.reason for row in rows] == ["", "", "empty_url", "url_scheme"]
    assert rows[3].detail == "has scheme 'file', not http or https"
    assert [row.captions for row in rows] == [["a cat, sitting"], [], ["no url"], ['ün "ï"\ncode']]
    assert [row.caption_sources for row in rows] == [["caption"], [], ["caption"], ["caption"]]
    assert rows[0].uid == uid_of("web", "http://example.com/a")
    assert [row.row for row in rows] == [f"web:{name}:{number}" for number in range(4)]
    assert json.loads(rows[0].columns) == {"licence": "cc"}


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl"])
def test_several_columns_of_captions_each_a_text_or_a_list(tmp_path: Path, name: str) -> None:
    table = write(
        tmp_path / name,
        [
            {"url": "http://a.example/1", "alt": "an alt", "texts": ["one", " ", None, "two"]},
            {"url": "http://a.example/2", "alt": None, "texts": []},
            {"url": "http://a.example/3", "alt": " ", "texts": None},
        ],
    )
    rows = rows_of(table, caption_columns=("texts", "alt"))
    assert rows[0].captions == ["one", "two", "an alt"]
    assert rows[0].caption_sources == ["texts", "texts", "alt"]
    assert [row.captions for row in rows[1:]] == [row.caption_sources for row in rows[1:]] == [[], []]
    assert [row.captions for row in rows_of(table, caption_columns=())] == [[], [], []]


def test_licences_by_row_and_by_source(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", TOLD)
    assert [row.licence for row in rows_of(table)] == [""] * 4
    assert [row.licence for row in rows_of(table, licence="all mine")] == ["all mine"] * 4
    rows = rows_of(table, licence_column="licence", licence="unclear")
    assert [row.licence for row in rows] == ["cc", "cc0", "unclear", "unclear"]
    assert {row.columns for row in rows} == {"{}"}


def test_parquet_columns_keep_their_types(tmp_path: Path) -> None:
    record = {
        "url": "http://a.example/",
        "caption": b"bytes \xff",
        "n": 3,
        "x": float("nan"),
        "b": b"\xc3\xbc",
    }
    table = write(tmp_path / "t.parquet", [record | {"t": pd.Timestamp("2024-01-02"), "l": [1, None]}])
    (row,) = rows_of(table, columns=("x", "n", "t", "b", "l"))
    assert row.captions == ["bytes \ufffd"]
    assert row.columns == '{"b": "ü", "l": [1, null], "n": 3, "t": "2024-01-02 00:00:00", "x": null}'


def test_a_refused_url_leaves_no_secret_behind(tmp_path: Path) -> None:
    urls = ["http://me:SECRET@example.com/x", "http://you:SECRET@example.com/x", f"data:{'A' * 5000}"]
    rows = rows_of(write(tmp_path / "t.csv", [{"url": url, "caption": "x"} for url in urls]))
    assert [row.reason for row in rows] == ["url_credentials", "url_credentials", "url_scheme"]
    assert "SECRET" not in repr(rows)
    assert rows[0].location == "http://…@example.com/x"
    assert rows[0].uid == uid_of("web", rows[0].location)  # not of the secret: what is short can be guessed
    assert len(rows[2].location) == 2000


def test_rows_without_a_url_are_no_duplicates_of_each_other(tmp_path: Path) -> None:
    rows = rows_of(write(tmp_path / "t.csv", [{"url": "", "caption": "x"}, {"url": " ", "caption": "x"}]))
    assert [row.reason for row in rows] == ["empty_url"] * 2
    assert rows[0].uid != rows[1].uid


def test_more_rows_than_a_batch(tmp_path: Path) -> None:
    numbers = range(20_001)
    frame = pd.DataFrame({"url": [f"http://a.example/{n}" for n in numbers], "caption": "x"})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=7001)
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        locations = [(row.location, row.row) for row in rows_of(tmp_path / name)]
        assert locations == [(f"http://a.example/{n}", f"web:{name}:{n}") for n in numbers]


# csv and json


def cells(data: bytes, name: str = "t.csv", columns: tuple[str, ...] = ("url", "caption")) -> list[Any]:
    system = fsspec.filesystem("memory")
    system.pipe(f"/cells/{name}", data)
    batches = list(read_table(SourceFile(name, system, f"/cells/{name}"), columns))
    return [
        [batch.columns[column][place] for column in columns]
        for batch in batches
        for place in range(len(batch))
    ]


def test_short_rows_and_empty_lines_of_csv() -> None:
    data = b'url,caption,n\r\n\r\nhttp://a/,"x, ""y""\nz",1\r\nhttp://b/\r\n001,NA,\r\n'
    assert cells(data) == [["http://a/", 'x, "y"\nz'], ["http://b/", ""], ["001", "NA"]]


def test_columns_of_csv_in_any_order() -> None:
    assert cells(b"caption,n,url\nx,1,http://a/\n") == [["http://a/", "x"]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"is empty: it has no column 'url', and no row$"),
        (b"url,caption,url\na,b,c\n", "several columns 'url'"),
        (
            b"url,caption\na,b\nhttp://x/,a cat, sitting\n",
            "line 3, has 3 cells, the first line 2; put cells with ','",
        ),
        (
            b'url,caption\nhttp://a/,"open\nhttp://b/,x\n',
            "line 2, cannot be read as cells between ',': unexpected end of data",
        ),
        (
            b'url,caption\nhttp://a/,"x" y\n',
            "line 2, .* expected after .* or set the source's `quotes: false`",
        ),
        (
            b"url,caption\nhttp://a/,\xff\n",
            r"line 2, is no utf-8 \(byte 0xff\); save it as UTF-8, or .* latin-1",
        ),
    ],
)
def test_csv_that_could_be_misread_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cells(data)


def test_json_of_any_shape() -> None:
    data = (
        b'\xef\xbb\xbf{"url": "http://a/", "caption": "x", "n": {"deep": [1]}}\n\n{"caption": 3}\r\n'
        b'{"url": "http://b/", "caption": "\\ud83d\\ude00 \\ud800"}'
    )
    assert cells(data, "t.jsonl") == [["http://a/", "x"], [None, 3], ["http://b/", "😀 ?"]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{oh", "line 2, is no JSON: "),
        (b"[1]", "line 2, is no JSON object but list"),
        (b"[" * 100_000, "line 2, is no JSON: it is nested too deeply"),
        (b'{"a": ' * 600 + b"1" + b"}" * 600, "line 2, is no JSON: it is nested too deeply"),
        (b'{"a": [' * 51 + b"1" + b"]}" * 51, "line 2, is no JSON: it is nested too deeply"),
    ],
)
def test_json_that_is_none_is_named_by_its_line(line: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cells(b'{"url": "x", "caption": "y"}\n' + line, "t.jsonl")


def test_json_that_is_nested_but_not_too_deeply() -> None:
    deep = b"[" * 98 + b"1" + b"]" * 98  # within a list of the caption, within the object
    batches = cells(b'{"url": "http://a/", "caption": [' + deep + b", {}, {}]}\n", "t.jsonl", ("caption",))
    assert batches == [[[json.loads(deep), {}, {}]]]


plain = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n"), max_size=8)


@given(st.lists(st.tuples(plain.filter(bool), plain), min_size=1, max_size=5))
def test_what_is_written_is_read(rows: list[tuple[str, str]]) -> None:
    frame = pd.DataFrame(rows, columns=["url", "caption"])
    json_lines = "\n".join(json.dumps(dict(zip(("url", "caption"), row, strict=True))) for row in rows)
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    for name, data in {
        "t.csv": frame.to_csv(index=False, quoting=1).encode(),
        "t.tsv.gz": packed("gz", frame.to_csv(index=False, quoting=1, sep="\t").encode()),
        "t.jsonl.zst": packed("zst", json_lines.encode()),
        "t.parquet": buffer.getvalue(),
    }.items():
        assert cells(data, name) == [list(row) for row in rows]


# what cannot be read


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
def test_a_missing_column_is_named_with_the_table_and_what_it_has(tmp_path: Path, name: str) -> None:
    table = write(tmp_path / name, TOLD)
    for changes in (
        {"url_column": "link"},
        {"caption_columns": ("caption", "link")},
        {"licence_column": "link"},
        {"columns": ("link",)},
    ):
        with pytest.raises(
            ValueError, match="no column 'link'; it has: 'url', 'caption', 'licence', 'score'"
        ) as caught:
            rows_of(table, **changes)
        assert str(table) in str(caught.value)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl", "t.csv.gz", "t.jsonl.zst"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe nonsense"])
def test_an_unreadable_table_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        rows_of(tmp_path / name)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zst", "t.jsonl.gz", "t.jsonl.zst"])
def test_a_table_that_is_cut_off_is_not_read_as_a_shorter_one(tmp_path: Path, name: str) -> None:
    whole = write(tmp_path / name, TOLD * 10).read_bytes()
    for end in (len(whole) - 1, len(whole) - 9, len(whole) // 2):
        (tmp_path / name).write_bytes(whole[:end])
        with pytest.raises(ValueError, match=f"{name}' cannot be read"):
            rows_of(tmp_path / name)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.csv.zst"])
def test_a_table_without_rows_is_refused(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"url": pd.Series(dtype=str), "caption": pd.Series(dtype=str)})
    frame.to_parquet(tmp_path / name) if name == "t.parquet" else frame.to_csv(tmp_path / name, index=False)
    with pytest.raises(ValueError, match=r"t\.[\w.]+' of source 'web' has no rows"):
        rows_of(tmp_path / name)


def test_tables_that_are_not_there_or_no_tables(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"source 'web': there is no file '.*none\.csv'"):
        rows_of(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"there is no file '.*\*\.csv'"):
        rows_of(tmp_path / "*.csv")
    with pytest.raises(ValueError, match="cannot be opened"):
        rows_of("nosuchscheme://x/t.csv")
    for name in ("t.xlsx", "t.csv.bak", "t.parquet.gz", "t", "t.gz"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(ValueError, match=r"is none of \.parquet, \.csv.*\.gz or \.zst; convert it"):
            rows_of(tmp_path / name)


@pytest.mark.parametrize(
    "table",
    [
        "http://127.0.0.1:1/t.csv",
        "https://example.org/t.parquet",
        "HTTP://169.254.169.254/latest/meta-data/t.csv",
        "ftp://10.0.0.1/t.csv",
        "jupyter://10.0.0.1:8888/t.csv",
        "webhdfs://namenode:9870/t.csv",
        "github://owner:repository@main/t.csv",
        "reference://::http://127.0.0.1:1/t.json",
        "simplecache::http://127.0.0.1:1/t.csv",
        "zip://t.csv::https://example.org/t.zip",
        "https://user:secret@example.org/t.csv?sig=secret",
    ],
)
def test_a_table_on_the_web_is_not_read(table: str) -> None:
    with pytest.raises(ValueError, match="download it and name the file") as refusal:
        rows_of(table)
    assert "source 'web'" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    assert "secret" not in str(refusal.value)


def test_a_table_in_an_archive_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", "url,caption\nhttps://example.org/a.png,a\n")
    assert [row.location for row in rows_of(f"zip://t.csv::{tmp_path}/t.zip")] == [
        "https://example.org/a.png"
    ]


# where they lie


def test_globs_are_expanded_and_sorted(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path / f"{name}.csv", [{"url": f"http://x.example/{name}", "caption": name}])
    rows = rows_of(tmp_path / "[bc].csv", tmp_path / "?.csv", tmp_path / "a.csv", f"file://{tmp_path}/a.csv")
    assert [row.row for row in rows] == ["web:a.csv:0", "web:b.csv:0", "web:c.csv:0"]


def test_tables_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "t.csv", [{"url": "http://x.example/", "caption": name}])
    assert [row.row for row in rows_of(str(tmp_path / "*" / "t.csv"))] == ["web:x/t.csv:0", "web:y/t.csv:0"]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl.zst", "t.parquet"])
def test_a_table_on_another_file_system(tmp_path: Path, name: str) -> None:
    system = fsspec.filesystem("memory")

    def put(caption: str) -> None:
        records = [{"url": "http://a.example/", "caption": caption}]
        system.pipe(f"/tables/{name}", write(tmp_path / name, records).read_bytes())

    put("x")
    rows = rows_of("memory://tables/t.*", tmp_path / name)
    assert [row.location for row in rows] == ["http://a.example/"] * 2
    assert len({row.row for row in rows}) == 2
    config = CollectConfig(urls=(UrlSource(name="web", tables=(f"memory://tables/{name}",)),))
    before = snapshot(config)
    assert before.digest == snapshot(config).digest
    put("changed")
    assert before.digest != snapshot(config).digest
    system.rm("/tables", recursive=True)


def test_one_path_on_two_file_systems_is_two_tables(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", TOLD)
    fsspec.filesystem("memory").pipe(str(table), b"url,caption\nhttp://m.example/,x\n")
    rows = rows_of(table, f"memory:/{table}")
    assert [row.row for row in rows if row.row.endswith(":0")] == ["web:file:t.csv:0", "web:memory:t.csv:0"]
