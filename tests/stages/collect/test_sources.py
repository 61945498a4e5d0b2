"""What comes in from this machine: folders and tars; which files a source means; the table of all rows."""

import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from stages.collect.sources.files import snapshot, stamps_of
from stages.collect.sources.folders import folder_rows
from stages.collect.sources.rows import ROWS, SourceRow, write_rows
from stages.collect.sources.tars import tar_rows
from stages.config.collect import CollectConfig, FolderSource, ParquetSource, TarSource
from stages.record import uid_of
from tests.stages.collect.conftest import picture

# rows


def test_rows_are_written_as_a_table(tmp_path: Path) -> None:
    rows = [
        SourceRow(
            f"{n:032x}", "web", f"http://a/{n}", f"web:t.csv:{n}", ["x", "y"], ["alt", "text"], "cc", "{}"
        )
        for n in range(20_001)
    ]
    write_rows(iter(rows), tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.schema == ROWS
    assert table["number"].to_pylist() == list(range(20_001))
    last = table.slice(20_000).to_pylist()[0]
    assert SourceRow(**{name: last[name] for name in SourceRow._fields}) == rows[-1]
    write_rows(iter(()), tmp_path / "none.parquet")
    assert len(pq.read_table(tmp_path / "none.parquet")) == 0


# folders


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def pictures_in(path: Path, **changes: Any) -> list[SourceRow]:
    return list(folder_rows(FolderSource(name="dir", folder=str(path), **changes), {}, None))


def parquet(captions: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    told = {"file_name": list(captions), "text": list(captions.values()), "extra": ["1", "2"]}
    pd.DataFrame(told).to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.csv", b"file_name,text,extra\nimages/a.png,an a,1\nb.png,,2\n"),
        (
            "metadata.jsonl",
            b'{"file_name": "images/a.png", "text": "an a", "extra": "1"}\n'
            b'{"file_name": "b.png", "text": null, "extra": "2"}\n',
        ),
        ("metadata.parquet", parquet({"images/a.png": "an a", "b.png": None})),
    ],
)
def test_captions_come_from_metadata(tmp_path: Path, name: str, text: bytes) -> None:
    folder(
        tmp_path,
        {"images/a.png": picture(1), "b.png": picture(2), "unnamed.png": picture(3), name: text}
        | {"b.txt": b"not looked at"},
    )
    first, second = pictures_in(tmp_path)
    assert (first.location, first.captions, first.columns) == ("images/a.png", ["an a"], '{"extra": "1"}')
    assert (second.location, second.captions, second.columns) == ("b.png", [], '{"extra": "2"}')
    assert (first.caption_sources, second.caption_sources) == (["text"], [])
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


def test_texts_beside_the_pictures_become_captions(tmp_path: Path) -> None:
    folder(
        tmp_path,
        {
            "owl/1.jpg": b"",
            "owl/1.txt": b"\xef\xbb\xbf an owl,\nasleep \xff\r\n",
            "owl/1.png": b"",  # of one name with another: the text is of both
            "owl/2.jpg": b"",  # without one, where others have one: no caption
            "owl/3.v2.jpg": b"",
            "owl/3.v2.txt": b"third",
            "owl/4.jpg": b"",
            "owl/4.txt": b" \n",
            "top.png": b"",
            "top.txt": b"at the top",
        },
    )
    found = {row.location: (row.captions, row.caption_sources) for row in pictures_in(tmp_path, licence="cc")}
    assert found == {
        "owl/1.jpg": (["an owl,\nasleep \ufffd"], ["txt"]),
        "owl/1.png": (["an owl,\nasleep \ufffd"], ["txt"]),
        "owl/2.jpg": ([], []),
        "owl/3.v2.jpg": (["third"], ["txt"]),
        "owl/4.jpg": ([], []),
        "top.png": (["at the top"], ["txt"]),
    }
    assert {row.licence for row in pictures_in(tmp_path, licence="cc")} == {"cc"}


def test_no_path_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(1))
    inside = folder(
        tmp_path / "in",
        {
            "a.png": picture(2),
            "metadata.csv": f"file_name,text\n../secret.png,x\n{tmp_path}/secret.png,x\nlink.png,x\n"
            "linked/secret.png,x\na/../a.png,fine\nsame.png,fine\nsub/../../secret.png,x\n"
            f"{tmp_path}/in/a.png,x\n".encode(),
        },
    )
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "linked").symlink_to(tmp_path)
    (inside / "same.png").symlink_to(inside / "a.png")
    rows = pictures_in(inside)
    assert [row.reason for row in rows] == ["forbidden_path"] * 4 + ["", ""] + ["forbidden_path"] * 2
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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are texts")
def test_names_that_are_no_texts(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff.png")).write_bytes(picture(1))
    with pytest.raises(ValueError, match=r"the name of '\\udcff\.png' is no UTF-8; rename it"):
        pictures_in(tmp_path)
    (row,) = members_of(tar(tmp_path / "odd.tar", {"\udcff.png": picture(1)}))
    assert row.location == "odd.tar/\\xff.png"


# tars


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def members_of(*tars: Path, **changes: Any) -> list[SourceRow]:
    return list(tar_rows(TarSource(name="wds", tars=tuple(map(str, tars)), **changes), {}, None))


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
    assert first.location == "00000.tar/000.jpg"
    assert (first.captions, first.caption_sources) == (["a caption", "another"], ["txt", "caption"])
    assert json.loads(first.columns) == {"n": 1, "url": "http://a.example/"}
    assert (second.captions, second.caption_sources) == (["from json"], ["caption"])
    assert third.captions == []
    assert third.location == "00000.tar/dir/000.webp"
    with shard.open("rb") as file:
        file.seek(second.offset)
        assert file.read(second.length) == picture(2)


def test_a_tar_of_img2dataset(tmp_path: Path) -> None:
    told = {
        "caption": "an owl",
        "url": "http://a.example/",
        "key": "000000001",
        "status": "success",
        "width": 24,
    }
    samples = {
        "000000001.jpg": picture(1, format="jpeg"),
        "000000001.txt": b"an owl",
        "000000001.json": json.dumps(told | {"error_message": None}).encode(),
        "000000002.jpg": picture(2, format="jpeg"),
        "000000002.json": b'{"caption": ["one", "", "two"], "status": "success"}',
        "000000003.jpg": picture(3, format="jpeg"),
        "000000003.txt": b"two",
        "000000003.json": b'{"caption": ["one", "two "], "url": null, "half": "\\ud800"}',
    }
    first, second, third = members_of(tar(tmp_path / "00000.tar", samples), licence="cc")
    assert (first.captions, first.caption_sources) == (["an owl"], ["txt"])
    assert json.loads(first.columns)["url"] == "http://a.example/"
    assert (second.captions, second.caption_sources) == (["one", "two"], ["caption", "caption"])
    assert (third.captions, third.caption_sources) == (["two", "one"], ["txt", "caption"])
    assert third.columns == '{"half": "?", "url": null}'
    assert third.licence == "cc"


def test_tars_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with pytest.raises(ValueError, match=r"bad\.tar' of source 'wds' cannot be read"):
        members_of(tmp_path / "bad.tar")
    with pytest.raises(ValueError, match="whole and uncompressed"):
        members_of(tar(tmp_path / "zipped.tar", {"a.png": picture(1)}, "w:gz"))
    with pytest.raises(ValueError, match="holds no images"):
        members_of(tar(tmp_path / "texts.tar", {"a.txt": b"x"}))
    whole = tar(tmp_path / "cut.tar", {"a.png": bytes(5000), "b.png": bytes(5000)})
    os.truncate(whole, 7000)
    with pytest.raises(ValueError, match=r"cut\.tar"):
        members_of(whole)
    (tmp_path / "sub").mkdir()
    twin = tar(tmp_path / "sub" / "one.tar", {"a.png": b""})
    with pytest.raises(ValueError, match="share a name; make them two sources"):
        members_of(tar(tmp_path / "one.tar", {"a.png": b""}), twin)


# which files


def test_sources_are_named_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no source: .* folders, tars and parquets"):
        snapshot(CollectConfig())
    one = FolderSource(name="x", folder=str(tmp_path))
    assert snapshot(CollectConfig(folders=(one,))).contents == {"x": {}}


def test_the_snapshot_knows_every_file_by_its_hash(tmp_path: Path) -> None:
    shard = tar(tmp_path / "a.tar", {"a.png": picture(1)})
    (tmp_path / "t.parquet").write_bytes(b"one")
    config = CollectConfig(
        tars=(TarSource(name="wds", tars=(str(shard),)),),
        parquets=(ParquetSource(name="hf", tables=(str(tmp_path / "*.parquet"),)),),
    )
    before = snapshot(config)
    assert set(stamps_of(before.contents, "hf")) == {"t.parquet"}
    (tmp_path / "t.parquet").write_bytes(b"two")
    after = snapshot(config)
    assert before.digest != after.digest
    assert stamps_of(before.contents, "hf") != stamps_of(after.contents, "hf")
    assert stamps_of(before.contents, "wds") == stamps_of(after.contents, "wds")
    assert stamps_of(None, "hf") == stamps_of(before.contents, "none") == {}
