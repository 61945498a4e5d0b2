"""What comes in: tables, folders and tars, and every way in which they can be wrong."""

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.collect.files import snapshot
from stages.collect.folders import folder_rows
from stages.collect.rows import ROWS, Row, write_rows
from stages.collect.tables import url_rows
from stages.collect.tars import tar_rows
from stages.config import CollectConfig, FolderSource, TarSource, UrlSource
from stages.record import uid_of
from tests.stages.collect.conftest import picture

TOLD = [
    {"url": "http://Example.com/a", "caption": "a cat, sitting", "licence": "cc", "score": 0.5},
    {"url": "http://example.com/b", "caption": "", "licence": "cc0", "score": None},
    {"url": None, "caption": "no url", "licence": None, "score": 1.0},
    {"url": "file:///etc/passwd", "caption": "ünïcode", "licence": "", "score": 2.0},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if ".parquet" in path.name:
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ".csv" in path.name or ".tsv" in path.name:
        pd.DataFrame(rows).to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")
    else:
        text = "\n".join(json.dumps(row) for row in rows) + "\n\n"
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def rows_of(*tables: Path | str, **changes: Any) -> list[Row]:
    source = UrlSource(name="web", tables=tuple(map(str, tables)), **changes)
    return list(url_rows(source, changed=False))


@pytest.mark.parametrize(
    "name", ["t.parquet", "t.csv", "t.tsv", "t.jsonl", "t.ndjson", "t.jsonl.gz", "t.csv.gz"]
)
def test_every_kind_of_table_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    rows = rows_of(write(tmp_path / name, TOLD), columns=("licence",))
    assert [row.location for row in rows[:3]] == ["http://example.com/a", "http://example.com/b", ""]
    assert [row.reason for row in rows] == ["", "", "empty_url", "bad_url"]
    assert rows[3].detail == "has scheme 'file', not http or https"
    assert [row.captions for row in rows] == [["a cat, sitting"], [], ["no url"], ["ünïcode"]]
    assert rows[0].uid == uid_of("web", "http://example.com/a")
    assert [row.row for row in rows] == [f"web:{name}:{number}" for number in range(4)]
    assert json.loads(rows[0].columns) == {"licence": "cc"}
    assert rows[0].caption_source == "caption"


def test_parquet_columns_keep_their_types_and_captions_may_be_lists(tmp_path: Path) -> None:
    table = write(
        tmp_path / "t.parquet",
        [
            {
                "u": "http://a.example/",
                "texts": ["one", " ", "two"],
                "n": 3,
                "x": float("nan"),
                "t": pd.Timestamp("2024-01-02"),
            }
        ],
    )
    (row,) = rows_of(table, url_column="u", caption_column="texts", columns=("x", "n", "t"))
    assert row.captions == ["one", "two"]
    assert row.columns == '{"n": 3, "t": "2024-01-02 00:00:00", "x": null}'


def test_globs_are_expanded_and_sorted(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path / f"{name}.csv", [{"url": f"http://x.example/{name}", "caption": name}])
    rows = rows_of(str(tmp_path / "*.csv"), str(tmp_path / "a.csv"))
    assert [row.row for row in rows] == ["web:a.csv:0", "web:b.csv:0", "web:c.csv:0"]


def test_tables_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "t.csv", [{"url": "http://x.example/", "caption": name}])
    assert [row.row for row in rows_of(str(tmp_path / "*" / "t.csv"))] == ["web:x/t.csv:0", "web:y/t.csv:0"]


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
def test_a_missing_column_is_named_with_the_table_and_what_it_has(tmp_path: Path, name: str) -> None:
    table = write(tmp_path / name, TOLD)
    for changes in ({"url_column": "link"}, {"caption_column": "link"}, {"columns": ("link",)}):
        with pytest.raises(
            ValueError, match="no column 'link'; it has: 'url', 'caption', 'licence', 'score'"
        ) as caught:
            rows_of(table, **changes)
        assert str(table) in str(caught.value)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe nonsense"])
def test_an_unreadable_table_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        rows_of(tmp_path / name)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_a_table_without_rows_is_refused(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"url": pd.Series(dtype=str), "caption": pd.Series(dtype=str)})
    frame.to_parquet(tmp_path / name) if name == "t.parquet" else frame.to_csv(tmp_path / name, index=False)
    with pytest.raises(ValueError, match=r"t\.\w+' of source 'web' has no rows"):
        rows_of(tmp_path / name)


def test_tables_that_are_not_there_or_no_tables(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"source 'web': there is no file '.*none\.csv'"):
        rows_of(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"there is no file '.*\*\.csv'"):
        rows_of(tmp_path / "*.csv")
    with pytest.raises(ValueError, match="cannot be opened"):
        rows_of("nosuchscheme://x/t.csv")
    (tmp_path / "t.xlsx").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"is none of \.parquet, \.csv"):
        rows_of(tmp_path / "t.xlsx")
    (tmp_path / "t.jsonl").write_text('{"url": "x", "caption": "y"}\n{oh')
    with pytest.raises(ValueError, match=r"line 2, is no JSON"):
        rows_of(tmp_path / "t.jsonl")


def test_a_table_on_another_file_system(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://tables/t.csv", "w") as file:
        file.write("url,caption\nhttp://a.example/,x\n")
    assert rows_of("memory://tables/t.csv")[0].location == "http://a.example/"
    config = CollectConfig(urls=(UrlSource(name="web", tables=("memory://tables/t.csv",)),))
    before = snapshot(config)
    assert before.digest == snapshot(config).digest
    with fsspec.open("memory://tables/t.csv", "w") as file:
        file.write("url,caption\nhttp://a.example/,changed\n")
    assert before.digest != snapshot(config).digest


def test_rows_are_written_as_a_table(tmp_path: Path) -> None:
    write_rows(iter(rows_of(write(tmp_path / "t.csv", TOLD))), tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.schema == ROWS
    assert table["number"].to_pylist() == [0, 1, 2, 3]
    write_rows(iter(()), tmp_path / "none.parquet")
    assert len(pq.read_table(tmp_path / "none.parquet")) == 0


# folders


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def pictures_in(path: Path, **changes: Any) -> list[Row]:
    return list(folder_rows(FolderSource(name="dir", folder=str(path), **changes), {}, None))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.csv", "file_name,text,extra\nimages/a.png,an a,1\nb.png,,2\n"),
        (
            "metadata.jsonl",
            '{"file_name": "images/a.png", "text": "an a", "extra": "1"}\n'
            '{"file_name": "b.png", "text": null, "extra": "2"}\n',
        ),
    ],
)
def test_captions_come_from_metadata(tmp_path: Path, name: str, text: str) -> None:
    folder(
        tmp_path,
        {"images/a.png": picture(1), "b.png": picture(2), "unnamed.png": picture(3), name: text.encode()},
    )
    first, second = pictures_in(tmp_path)
    assert (first.location, first.captions, first.columns) == ("images/a.png", ["an a"], '{"extra": "1"}')
    assert (second.location, second.captions, second.columns) == ("b.png", [], '{"extra": "2"}')
    assert first.row == f"dir:{name}:0"
    assert first.path == str(tmp_path / "images/a.png")
    assert first.uid == uid_of("dir", "images/a.png")


def test_metadata_below_names_files_beside_it(tmp_path: Path) -> None:
    folder(tmp_path, {"train/a.png": picture(1), "train/metadata.csv": b"file_name,caption\na.png,x\n"})
    (row,) = pictures_in(tmp_path, caption_column="caption")
    assert row.location == "train/a.png"


def test_class_folders_become_captions(tmp_path: Path) -> None:
    folder(
        tmp_path,
        {
            "red_fox/1.JPG": b"",
            "red_fox/2.png": b"",
            "owl/1.webp": b"",
            "top.png": b"",
            "notes.txt": b"",
            ".hidden/x.png": b"",
        },
    )
    found = [(row.location, row.captions) for row in pictures_in(tmp_path)]
    assert found == [
        ("owl/1.webp", ["owl"]),
        ("red_fox/1.JPG", ["red fox"]),
        ("red_fox/2.png", ["red fox"]),
        ("top.png", []),
    ]


def test_no_path_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(1))
    inside = folder(
        tmp_path / "in",
        {
            "a.png": picture(2),
            "metadata.csv": f"file_name,text\n../secret.png,x\n{tmp_path}/secret.png,x\nlink.png,x\n"
            "linked/secret.png,x\na/../a.png,fine\nsame.png,fine\nsub/../../secret.png,x\n".encode(),
        },
    )
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "linked").symlink_to(tmp_path)
    (inside / "same.png").symlink_to(inside / "a.png")
    rows = pictures_in(inside)
    assert [row.reason for row in rows] == ["forbidden_path"] * 4 + ["", ""] + ["forbidden_path"]
    assert rows[4].location == "a.png"
    config = CollectConfig(folders=(FolderSource(name="dir", folder=str(inside)),))
    assert set(snapshot(config).contents["dir"]) == {"a.png", "metadata.csv", "same.png"}  # type: ignore[index,call-overload]


def test_folders_that_hold_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        pictures_in(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no image files"):
        pictures_in(tmp_path)
    (tmp_path / "metadata.csv").write_text("file,text\na.png,x\n")
    with pytest.raises(ValueError, match="no column 'file_name'; it has: 'file', 'text'"):
        pictures_in(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,text\n")
    with pytest.raises(ValueError, match=r"metadata\.csv has no rows"):
        pictures_in(tmp_path)


# tars


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def members_of(*tars: Path) -> list[Row]:
    return list(tar_rows(TarSource(name="wds", tars=tuple(map(str, tars))), {}, None))


def test_tar_members_with_their_texts(tmp_path: Path) -> None:
    shard = tar(
        tmp_path / "00000.tar",
        {
            "000.jpg": picture(1, format="jpeg"),
            "000.txt": b"a caption\n",
            "000.json": b'{"caption": "another", "url": "http://a.example/", "n": 1}',
            "001.json": b'{"caption": "from json"}',
            "001.seg.png": picture(2),
            "dir/000.webp": picture(3, format="webp"),
            "readme.md": b"no image",
        },
    )
    first, second, third = members_of(shard)
    assert (first.location, first.captions, first.caption_source) == (
        "00000.tar/000.jpg",
        ["a caption"],
        "txt",
    )
    assert json.loads(first.columns) == {"n": 1, "url": "http://a.example/"}
    assert (second.captions, second.caption_source) == (["from json"], "caption")
    assert third.captions == []
    assert third.location == "00000.tar/dir/000.webp"
    with shard.open("rb") as file:
        file.seek(second.offset)
        assert file.read(second.length) == picture(2)


def test_tars_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with pytest.raises(ValueError, match=r"bad\.tar' of source 'wds' cannot be read"):
        members_of(tmp_path / "bad.tar")
    with pytest.raises(ValueError, match="whole and uncompressed"):
        members_of(tar(tmp_path / "zipped.tar", {"a.png": picture(1)}, "w:gz"))
    with pytest.raises(ValueError, match="holds no images"):
        members_of(tar(tmp_path / "texts.tar", {"a.txt": b"x"}))
    with pytest.raises(ValueError, match=r"beside 'a\.png' is no JSON"):
        members_of(tar(tmp_path / "json.tar", {"a.png": b"", "a.json": b"{"}))
    whole = tar(tmp_path / "cut.tar", {"a.png": bytes(5000), "b.png": bytes(5000)})
    os.truncate(whole, 7000)
    with pytest.raises(ValueError, match=r"cut\.tar"):
        members_of(whole)
    (tmp_path / "sub").mkdir()
    twin = tar(tmp_path / "sub" / "one.tar", {"a.png": b""})
    with pytest.raises(ValueError, match="share a name; make them two sources"):
        members_of(tar(tmp_path / "one.tar", {"a.png": b""}), twin)


def test_sources_are_named_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no source"):
        snapshot(CollectConfig())
    one = FolderSource(name="x", folder=str(tmp_path))
    with pytest.raises(ValueError, match="2 sources are called 'x'"):
        snapshot(CollectConfig(folders=(one, one)))
    assert snapshot(CollectConfig(folders=(one,))).contents == {"x": {}}
