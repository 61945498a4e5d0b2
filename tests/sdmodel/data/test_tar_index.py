"""The index of tars that others wrote."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sdmodel.data import tar_index
from sdmodel.data.index import read_index
from sdmodel.data.pictures import decode_row
from sdmodel.data.tar_index import index_tars, tars_of


def picture(colour: int = 0, format: str = "PNG", mode: str = "RGB", size: int = 6, exif: int = 1) -> bytes:
    data, about = io.BytesIO(), Image.Exif()
    about[tar_index.ORIENTATION] = exif
    Image.new(mode, (size, size + 2), colour).save(data, format, exif=about)
    return data.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes | str, **fields: object) -> None:
    member, raw = tarfile.TarInfo(name), data if isinstance(data, bytes) else data.encode()
    member.size = len(raw)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(raw))


def test_pictures_are_where_the_index_says(tmp_path: Path):
    """Whatever stands before them: long names and extended headers take room of their own."""
    (tmp_path / "tars").mkdir()
    for number, layout in enumerate((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        with tarfile.open(tmp_path / f"tars/{number}.tar", "w", format=layout) as tar:
            stem = "long/" * (18 if layout == tarfile.USTAR_FORMAT else 40) + "naïve"
            add(tar, f"{stem}.json", json.dumps({"caption": ["one", " two "], "text": 3, "more": {}}))
            add(tar, f"{stem}.png", picture(number))
            add(tar, f"{stem}.txt", "three\n")
            add(tar, "other.seg.JPG", picture(format="JPEG"))
    indexed = index_tars(sorted((tmp_path / "tars").iterdir()), tmp_path / "index.parquet")
    assert (indexed.rows, indexed.left_out) == (6, {})
    tars = tars_of(tmp_path / "index.parquet")
    assert tars == {f"tars/{number}.tar": tmp_path / f"tars/{number}.tar" for number in range(3)}
    index = read_index(tmp_path / "index.parquet", tars, "train")
    assert index.captions == [["three", "one", "two", "3"], []] * 3
    assert [decode_row(index, 2 * number, 6)[0, 0, 0] for number in range(3)] == [0, 1, 2]
    assert index.sizes is not None
    assert index.sizes.tolist() == [[8, 6]] * 6
    assert len(set(index.uids)) == 6


def test_captions_come_from_where_they_are_asked_for(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "0.png", picture())
        add(tar, "0.cls", "7")
        add(tar, "0.json", '{"label": 4, "nested": {"caption": "no"}, "none": null}')
    sources = (".cls", "label", "__key__", "nested", "none", "absent")
    index_tars([tmp_path / "a.tar"], tmp_path / "index.parquet", captions=sources)
    table = pq.read_table(tmp_path / "index.parquet")
    assert table.column("captions").to_pylist() == [[{"text": "7"}, {"text": "4"}, {"text": "0"}]]


def test_what_is_not_learned_from_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tar_index, "MOST_BYTES", 2000)
    monkeypatch.setattr(tar_index, "MOST_PIXELS", 200)
    broken = picture(format="JPEG")[:150]
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "good.png", picture())
        add(tar, "secret.png", "", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(tar, "hard.png", "", type=tarfile.LNKTYPE, linkname="good.png")
        add(tar, "dir.png", "", type=tarfile.DIRTYPE)
        add(tar, "._good.png", b"macOS")
        add(tar, "twice.png", picture())
        add(tar, "twice.png", picture(1))
        add(tar, "broken.jpg", broken)
        add(tar, "script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
        add(tar, "empty.png", b"")
        add(tar, "heavy.png", b"\x89PNG" * 1000)
        add(tar, "wide.png", picture(size=20))
        add(tar, "deep.png", picture(mode="I;16"))
        add(tar, "turned.jpg", picture(format="JPEG", exif=6))
        add(tar, "good.txt", "x" * (tar_index.MOST_TEXT + 1))
        add(tar, "wide.json", "[" * 60_000)
    indexed = index_tars([tmp_path / "a.tar"], tmp_path / "index.parquet")
    assert indexed.rows == 1
    assert indexed.left_out == {
        "not a plain file": 2,
        "its name comes twice": 1,
        "not an image": 2,
        "too large, or empty": 2,
        "too many pixels": 1,
        "more than 8 bits a channel": 1,
        "to be turned": 1,
        "a text that is too long": 1,
        "not JSON": 1,
    }


def test_the_validation_split_has_about_its_share_always_the_same(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(200):
            add(tar, f"{number}.png", picture())
    splits: list[list[str]] = []
    for share in (0.25, 0.25, 0.5):
        index_tars([tmp_path / "a.tar"], tmp_path / "index.parquet", validation=share)
        splits.append(pq.read_table(tmp_path / "index.parquet").column("split").to_pylist())
    assert splits[0] == splits[1]
    assert 30 < splits[0].count("validation") < 70
    grown = zip(splits[0], splits[2], strict=True)
    assert all(after == "validation" for before, after in grown if before == "validation")


def hostile(header: bytes) -> bytes:
    """A tar with an extended header of these bytes before its picture."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        add(tar, "x", header, type=b"x")
        add(tar, "0.png", picture())
    return data.getvalue()


def pax(**records: str) -> bytes:
    lines = (f" {name.replace('_', '.')}={value}\n" for name, value in records.items())
    return b"".join(str(len(line) + 2).encode() + line.encode() for line in lines)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no tar at all" * 100,
        hostile(b"1" * (tar_index.MOST_HEADER + 1)),
        hostile(b"")[:700],
        hostile(pax(size="99999999999")),
    ],
)
def test_no_tar_and_no_index(data: bytes, tmp_path: Path):
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(ValueError, match=r"not a tar that can be read|no picture was found"):
        index_tars([tmp_path / "a.tar"], tmp_path / "index.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_headers_in_headers_end(tmp_path: Path):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for _ in range(3000):
            add(tar, "x", pax(a="b"), type=b"x")
    (tmp_path / "a.tar").write_bytes(data.getvalue())
    with pytest.raises(ValueError, match="not a tar that can be read"):
        index_tars([tmp_path / "a.tar"], tmp_path / "index.parquet")


def test_a_compressed_tar_is_refused(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", "w:gz") as tar:
        add(tar, "0.png", picture())
    with pytest.raises(ValueError, match="must be uncompressed"):
        index_tars([tmp_path / "a.tar"], tmp_path / "index.parquet")


def test_bytes_that_changed_since_are_not_trained_on(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "0.png", np.random.default_rng(0).bytes(100))
        add(tar, "1.png", picture())
    index_tars([tmp_path / "a.tar"], tmp_path / "index.parquet")
    row = pq.read_table(tmp_path / "index.parquet").to_pylist()[0]
    data = bytearray((tmp_path / "a.tar").read_bytes())
    data[row["offset"] + 20] ^= 1
    (tmp_path / "a.tar").write_bytes(data)
    index = read_index(tmp_path / "index.parquet", tars_of(tmp_path / "index.parquet"), "train")
    with pytest.raises(ValueError, match="checksum"):
        index.bytes_of(0)
