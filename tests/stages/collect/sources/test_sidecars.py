"""Which text belongs to which picture, in tars and in folders, and what is said of the rest."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.collect.sources.folders import class_of, folder_rows
from stages.collect.sources.limits import ReadContext, RowLimits
from stages.collect.sources.rows import SourceRow
from stages.collect.sources.tars import tar_rows
from stages.config.collect import FolderSource, TarSource
from tests.stages.collect.test_sources import folder, members_of, tar

# tars


def captions(rows: list[SourceRow]) -> dict[str, list[str]]:
    return {row.location.partition("/")[2]: row.captions for row in rows}


def test_keys_with_dots_keep_their_own_texts(tmp_path: Path) -> None:
    names = ["IMG_22.05.14", "IMG_22.06.02", "IMG_22.07.30", "v1.0"]
    members = {f"{name}.{suffix}": f"of {name}".encode() for name in names for suffix in ("jpg", "txt")}
    rows = members_of(tar(tmp_path / "t.tar", members))
    assert captions(rows) == {f"{name}.jpg": [f"of {name}"] for name in names}


def test_a_picture_without_its_text_gets_no_other_s(tmp_path: Path) -> None:
    members = {"IMG_22.05.14.jpg": b"", "IMG_22.06.02.txt": b"June"}
    members |= {"IMG_22.txt": b"none", "IMG_22.jpg": b""}
    rows = members_of(tar(tmp_path / "t.tar", members))
    assert captions(rows) == {"IMG_22.05.14.jpg": [], "IMG_22.jpg": ["none"]}
    members = {"IMG_22.jpg": b"", "IMG_22.06.02.txt": b"of a picture that is gone"}
    assert captions(members_of(tar(tmp_path / "u.tar", members))) == {"IMG_22.jpg": []}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "Expecting"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"n": ' + b"9" * 5000 + b"}", "a number of thousands of digits"),
        (b"\xff\xfe\x00", "none"),
    ],
)
def test_a_json_that_is_none_refuses_the_row_of_its_picture_alone(
    tmp_path: Path, data: bytes, words: str
) -> None:
    files = {"a.png": b"", "a.json": data, "b.png": b"", "b.json": b'{"caption": "well"}'}
    in_tar = members_of(tar(tmp_path / "t.tar", files))
    source = FolderSource(name="p", folder=str(folder(tmp_path / "in", files)))
    in_folder = list(folder_rows(source, {}, None))
    for bad, good in (in_tar, in_folder):
        assert (bad.reason, words in bad.detail) == ("bad_sidecar", True), bad.detail
        assert (good.reason, good.captions) == ("", ["well"])


def test_webdataset_s_first_dot_where_words_follow_it(tmp_path: Path) -> None:
    members = {
        "a.seg.png": b"", "a.jpg": b"", "a.txt": b"both", "b.jpg": b"", "b.prompt.txt": b"a prompt",
        "c.jpg": b"", "c.jpg.txt": b"by its whole name", "c.small.jpg": b"",
        "c.small.txt": b"the small one's",
        "./d.jpg": b"", "d.TXT": b"loud", "e.jpg": b"", "e.cls": b"7\n", "f.JPG": b"", "f.cls": b"owl",
        "._a.jpg": b"", "__index__": b"",
    }  # fmt: skip
    rows = members_of(tar(tmp_path / "t.tar", members))
    assert captions(rows) == {
        "a.seg.png": ["both"], "a.jpg": ["both"], "b.jpg": ["a prompt"], "c.jpg": ["by its whole name"],
        "c.small.jpg": ["the small one's"], "./d.jpg": ["loud"], "e.jpg": [], "f.JPG": [],
    }  # fmt: skip
    columns = {row.location: json.loads(row.columns) for row in rows}
    assert (columns["t.tar/e.jpg"], columns["t.tar/f.JPG"]) == ({"cls": 7}, {"cls": "owl"})


def test_members_that_claim_one_place_refuse_the_row(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    members = [
        ("a.jpg", b"1"), ("a.txt", b"first"), ("b.jpg", b""), ("a.jpg", b"2"), ("b.txt", b"b"),
        ("c.jpg", b""),
        ("c.txt", b"x"), ("c.txt", b"y"), ("d.jpg", b""), ("d.txt", b""), ("d.Txt", b""),
    ]  # fmt: skip
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    rows = members_of(path)
    assert [(row.location, row.reason, row.detail) for row in rows] == [
        ("t.tar/a.jpg", "conflicting_files", "2 members of the tar have this name"),
        ("t.tar/b.jpg", "", ""),
        ("t.tar/a.jpg", "conflicting_files", "2 members of the tar have this name"),
        ("t.tar/c.jpg", "conflicting_files", "2 files claim to be its txt"),
        ("t.tar/d.jpg", "conflicting_files", "2 files claim to be its txt"),
    ]
    assert len({row.uid for row in rows}) == 5
    assert [row.captions for row in rows] == [[], ["b"], [], [], []]


KEYS = st.from_regex(r"(?:[a-c]/)?[a-d0-9_-]{1,3}", fullmatch=True)
PARTS = st.sets(st.sampled_from(["jpg", "png", "seg.png", "txt", "json", "cls", "npy"]), min_size=1)


@settings(deadline=None)
@given(samples=st.dictionaries(KEYS, PARTS, min_size=1, max_size=5))
def test_ordinary_tars_are_read_as_webdataset_reads_them(
    samples: dict[str, set[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("wds") / "t.tar"
    data = {"txt": "text of {}", "json": '{{"caption": "json of {}"}}', "cls": "12"}
    members = {
        f"{key}.{part}": data.get(part, "").format(key).encode()
        for key, parts in samples.items()
        for part in sorted(parts)
    }
    tar(path, members)
    expected: dict[str, tuple[list[str], Any]] = {}
    for sample in webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False):
        texts = [sample["txt"].decode()] if "txt" in sample else []
        texts += [json.loads(sample["json"])["caption"]] if "json" in sample else []
        for part in ("jpg", "png", "seg.png"):
            if part in sample:
                expected[f"t.tar/{sample['__key__']}.{part}"] = (texts, 12 if "cls" in sample else None)
    if expected:
        rows = members_of(path)
        assert {row.location: (row.captions, json.loads(row.columns).get("cls")) for row in rows} == expected
    else:
        with pytest.raises(ValueError, match="holds no images"):
            members_of(path)


def test_keys_of_captions_licences_and_what_is_left_out_of_tars(tmp_path: Path) -> None:
    sidecar = {"prompt": "a prompt", "text": ["t1", "t2"], "License": "CC0", "url": "http://a.example/"}
    members = {"a.jpg": b"", "a.json": json.dumps(sidecar).encode(), "a.mask.png": b"", "b.jpg": b"",
               "b.json": b"[" + b"1," * 2000 + b"1]", "a.npy": b"", "c.txt": b""}  # fmt: skip
    heard: list[str] = []
    source = TarSource(
        name="wds",
        tars=(str(tar(tmp_path / "t.tar", members)),),
        caption_keys=("text", "prompt"),
        exclude=("*.mask.png",),
        licence="unclear",
    )
    reading = ReadContext(
        limits=RowLimits(cell_bytes=1000, row_bytes=1000, caption_chars=100), warn=heard.append
    )
    first, second = tar_rows(source, {}, None, reading)
    assert (first.captions, first.caption_sources) == (["t1", "t2", "a prompt"], ["text", "text", "prompt"])
    assert (first.licence, second.licence, second.captions) == ("CC0", "unclear", [])
    assert json.loads(first.columns) == {"License": "CC0", "url": "http://a.example/"}
    assert heard == [
        "source 'wds': 3 members beside the pictures are not read: 1 .npy, 1 too long .json, 1 .txt",
        "source 'wds': 1 members are left out by `exclude`",
    ]


# folders


def rows_and_warnings(path: Path, **changes: Any) -> tuple[dict[str, SourceRow], list[str]]:
    heard: list[str] = []
    source = FolderSource(name="dir", folder=str(path), **changes)
    limits = RowLimits(cell_bytes=1000, row_bytes=2000, caption_chars=100)
    rows = list(folder_rows(source, {}, None, ReadContext(limits=limits, warn=heard.append)))
    assert len({row.location for row in rows}) == len(rows)
    return {row.location: row for row in rows}, heard


def test_what_img2dataset_writes_as_files(tmp_path: Path) -> None:
    sidecar = {
        "caption": "a red bird",
        "url": "http://a.example/1.jpg",
        "license": "CC-BY",
        "key": "000000000",
    }
    folder(
        tmp_path,
        {
            "00000/000000000.jpg": b"", "00000/000000000.json": json.dumps(sidecar).encode(),
            "00000/000000000.txt": b"a red bird", "00000/000000001.jpg": b"",
            "00000_stats.json": b"{}",
        },
    )  # fmt: skip
    rows, heard = rows_and_warnings(tmp_path)
    first, second = rows["00000/000000000.jpg"], rows["00000/000000001.jpg"]
    assert (first.captions, first.caption_sources, first.licence) == (["a red bird"], ["txt"], "CC-BY")
    assert json.loads(first.columns)["url"] == "http://a.example/1.jpg"
    assert (second.captions, second.columns) == ([], "{}")
    assert len(heard) == 1
    assert "'00000_stats.json' may say something of the pictures" in heard[0]


@pytest.mark.parametrize("suffix", [".txt", ".TXT", ".caption", ".Json"])
def test_any_caption_beside_a_picture_beats_class_folders(tmp_path: Path, suffix: str) -> None:
    text = b'{"caption": "a dog"}' if suffix == ".Json" else b"a dog"
    folder(tmp_path, {"10_rex dog/a.jpg": b"", f"10_rex dog/a{suffix}": text, "owl/b.jpg": b""})
    rows, heard = rows_and_warnings(tmp_path)
    assert rows["10_rex dog/a.jpg"].captions == ["a dog"]
    assert rows["owl/b.jpg"].captions == []
    assert heard == []


def test_numbers_of_repeats_are_no_captions(tmp_path: Path) -> None:
    folder(tmp_path, {"10_rex dog/a.jpg": b"", "owl/b.jpg": b"", "5_/c.jpg": b"", "d.jpg": b""})
    rows, _ = rows_and_warnings(tmp_path)
    assert {name: row.captions for name, row in rows.items()} == {
        "10_rex dog/a.jpg": ["rex dog"], "owl/b.jpg": ["owl"], "5_/c.jpg": [], "d.jpg": [],
    }  # fmt: skip
    assert {row.columns for row in rows.values()} == {"{}"}
    rows, _ = rows_and_warnings(tmp_path, repeats=True)
    assert [json.loads(row.columns)["repeats"] for row in rows.values()] == [10, 5, 1, 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("00000", ("", 1)), ("2024-05-01", ("", 1)), ("images", ("", 1)), ("10_00000", ("", 10)),
        ("", ("", 1)), ("3d_art", ("3d art", 1)), ("red_fox", ("red fox", 1)), ("雪", ("雪", 1)),
        ("2_IMG", ("", 2)),
    ],
)  # fmt: skip
def test_class_folders_that_are_captions(name: str, expected: tuple[str, int]) -> None:
    assert class_of(name) == expected


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    folder(
        tmp_path,
        {
            "a.jpg": b"", "a.txt": b"x", "b.jpg": b"", "b.json": b"1" * 1001,
            "a.xmp": b"", "c.txt": b"", "a_mask.png": b"", "previews/a.png": b"",
            "labels.csv": b"", "metadata.tsv": b"", "x.\x1b[31m": b"",
        },
    )  # fmt: skip
    may_be = (
        "may say something of the pictures and is not read; if so, name it in the source's `metadata`, and "
        "its columns in `file_column` and `caption_column`"
    )
    rows, heard = rows_and_warnings(tmp_path, exclude=("*_mask.png", "previews/*"))
    assert list(rows) == ["a.jpg", "b.jpg"]
    assert heard == [
        "source 'dir': 2 files are left out by `exclude`",
        "source 'dir': 1 .json are longer than max_cell_bytes=1000 and not read",
        f"source 'dir': 'labels.csv' {may_be}",
        f"source 'dir': 'metadata.tsv' {may_be}",
        r"source 'dir': 3 files beside the pictures are not read: 1 .xmp, 1 .txt, 1 .\x1b[31m",  # as letters
    ]


def test_metadata_of_any_name_and_columns_and_what_it_does_not_name(tmp_path: Path) -> None:
    folder(
        tmp_path,
        {
            "sub/a.jpg": b"", "sub/b.jpg": b"", "c.jpg": b"", "odd\\d.jpg": b"", "c.txt": b"unread",
            "captions.tsv": b"\tpath\tcaption\tn\n0\tsub\\a.jpg\tan a\t1\n1\todd\\d.jpg\td\t2\n",
        },
    )  # fmt: skip
    changes = {"metadata": ("captions.tsv",), "file_column": "path", "caption_column": "caption"}
    rows, heard = rows_and_warnings(tmp_path, **changes)
    assert {name: (row.captions, row.columns) for name, row in rows.items()} == {
        "sub/a.jpg": (["an a"], '{"n": "1"}'),
        "odd\\d.jpg": (["d"], '{"n": "2"}'),
    }
    assert heard == [
        "source 'dir': 2 pictures, 'c.jpg' among them, are in no metadata file: left out",
        "source 'dir': 1 files beside the pictures are not read: 1 .txt",
    ]


def test_files_that_say_too_much_or_two_things_refuse_the_picture(tmp_path: Path) -> None:
    folder(
        tmp_path,
        {
            "a.jpg": b"", "a.txt": b"x", "a.TXT": b"y", "b.jpg": b"", "b.txt": b"x" * 101,
            "c.jpg": b"", "c.caption": b"x" * 1001, "d.jpg": b"", "d.txt": b"fine", "d.caption": b"also fine",
        },
    )  # fmt: skip
    rows, _ = rows_and_warnings(tmp_path)
    assert {name: (row.reason, row.detail) for name, row in rows.items()} == {
        "a.jpg": ("conflicting_files", "2 files claim to be its txt"),
        "b.jpg": ("cell_too_long", "beside it: a caption has 101 characters"),
        "c.jpg": ("cell_too_long", "beside it: '.caption' is longer"),
        "d.jpg": ("", ""),
    }
    assert rows["d.jpg"].captions == ["fine", "also fine"]
    folder(tmp_path, {"metadata.csv": b"file_name,text\nd.jpg," + b"x" * 101 + b"\nd.jpg,fine\n"})
    source = FolderSource(name="dir", folder=str(tmp_path))
    reading = ReadContext(limits=RowLimits(cell_bytes=1000, row_bytes=2000, caption_chars=100))
    long, fine = folder_rows(source, {}, None, reading)
    assert (long.reason, long.detail) == (
        "cell_too_long",
        "metadata.csv, line 2: a caption has 101 characters",
    )
    assert long.uid != fine.uid == rows["d.jpg"].uid
