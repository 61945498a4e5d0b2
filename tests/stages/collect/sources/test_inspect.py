"""Places, and what they hold."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.collect.sources.inspect import SourceGuess, inspect_sources
from stages.config.collect import FolderSource, ParquetSource, TarSource, UrlSource
from tests.stages.collect.conftest import picture

CSV = "url,caption,width\nhttps://a.example/1.jpg,a red bird,24\nhttps://a.example/2.jpg,the sea,24\n"


def look(*places: Path | str) -> SourceGuess:
    (guess,) = inspect_sources([str(place) for place in places])
    return guess


def files(folder: Path, **contents: bytes) -> Path:
    for name, data in contents.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def tar(path: Path, members: dict[str, bytes], mode: Any = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def parquet(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_a_table_of_urls(tmp_path: Path) -> None:
    path = tmp_path / "Birds 2.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode()))
    guess = look(path)
    assert guess.kind == "urls"
    assert guess.source == UrlSource(name="birds-2", tables=(str(path),), columns=("width",))


def test_tables_beside_each_other_are_one_source(tmp_path: Path) -> None:
    for place in ("x/a.csv", "x/b.csv", "y/a.csv"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(CSV)
    guesses = inspect_sources(
        [str(tmp_path / place) for place in ("x/a.csv", "x/b.csv", "y/a.csv", "x/a.csv")]
    )
    assert [
        (guess.source.name, len(guess.source.tables))
        for guess in guesses
        if isinstance(guess.source, UrlSource)
    ] == [
        ("x", 2),
        ("a", 1),
    ]
    assert look(tmp_path / "x" / "*.csv").source.name == "x"
    both = inspect_sources([str(tmp_path / "x" / "a.csv"), str(tmp_path / "y" / "a.csv")])
    assert [guess.source.name for guess in both] == ["a", "a-2"]


def test_a_table_on_another_file_system() -> None:
    with fsspec.open("memory://looked/t.csv", "w") as file:
        file.write(CSV)
    source = look("memory://looked/t.csv").source
    assert source == UrlSource(name="t", tables=("memory://looked/t.csv",), columns=("width",))


def test_parquet_with_pictures_and_without(tmp_path: Path) -> None:
    cells = [{"bytes": picture(number), "path": f"{number}.png"} for number in range(3)]
    texts = ["a bird", "a red bird", "the sea"]
    urls = ["https://a.example/1"] * 3
    hf = parquet(tmp_path / "train-00000-of-00001.parquet", text=texts, image=cells, url=urls, n=[1, 2, 3])
    guess = look(hf)
    assert guess.kind == "parquets"
    assert guess.source == ParquetSource(
        name="train", tables=(str(hf),), caption_columns=("text",), columns=("url", "n")
    )
    bare = parquet(tmp_path / "b.parquet", jpg=[picture(1)], thumb=[picture(2)], caption=["a bird"])
    guess = look(bare)
    assert isinstance(guess.source, ParquetSource)
    assert guess.source.image_column == "jpg"
    assert "'thumb'" in guess.why["columns"]
    sound = parquet(tmp_path / "s.parquet", audio=[{"bytes": b"RIFF....WAVE", "path": "x"}], url=urls[:1])
    assert look(sound).source == UrlSource(name="s", tables=(str(sound),), caption_columns=())
    empty = parquet(tmp_path / "e.parquet", image=pa.array([], pa.binary()), text=pa.array([], pa.string()))
    with pytest.raises(ValueError, match="none of pictures' bytes; it has: 'image', 'text'"):
        look(empty)


def test_parquet_with_pictures_elsewhere_must_come_here_first() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [picture(1)], "text": ["a bird"]}), buffer)
    with fsspec.open("memory://looked/p.parquet", "wb") as file:
        file.write(buffer.getvalue())
    with pytest.raises(ValueError, match="not on this machine; copy Parquet files"):
        look("memory://looked/p.parquet")


def test_folders(tmp_path: Path) -> None:
    folder = files(
        tmp_path / "told", a_png=picture(1), metadata_csv=b"file_name,label,words\na.png,1,a red bird\n"
    )
    assert look(folder).source == FolderSource(name="told", folder=str(folder), caption_column="words")
    beside = look(files(tmp_path / "beside", a_png=picture(1), b_png=picture(2), a_txt=b"a red bird"))
    assert beside.source == FolderSource(name="beside", folder=str(tmp_path / "beside"))
    assert "2 images; 1 have a .txt" in beside.saw
    assert "folders that they lie in" in look(files(tmp_path / "classes", bird__a_png=picture(1))).saw
    assert "without captions" in look(files(tmp_path / "mute", a_png=picture(1))).saw
    odd = look(files(tmp_path / "odd", a_png=picture(1), metadata_csv=b"file,text\na.png,x\n"))
    assert odd.source == FolderSource(name="odd", folder=str(tmp_path / "odd"), file_column="file")
    with pytest.raises(ValueError, match="no column 'file_name', nor another that names"):
        look(files(tmp_path / "other", a_png=picture(1), metadata_csv=b"file,text\nb.png,x\n"))
    with pytest.raises(ValueError, match="no column of captions"):
        look(files(tmp_path / "bare", a_png=picture(1), metadata_csv=b"file_name,n\na.png,1\n"))


def test_folders_of_tars_and_tables(tmp_path: Path) -> None:
    tar(tmp_path / "[t]" / "0.tar", {"a.jpg": picture(1)})
    (tmp_path / "[t]" / "0.parquet").write_bytes(b"what img2dataset writes beside it")
    source = look(tmp_path / "[t]").source
    assert source == TarSource(name="t", tars=(f"{tmp_path}/[[]t]/*.tar",))
    (tmp_path / "rows" / "data").mkdir(parents=True)
    (tmp_path / "rows" / "data" / "t.csv").write_text(CSV)
    source = look(tmp_path / "rows").source
    assert isinstance(source, UrlSource)
    assert (source.name, source.tables) == ("rows", (f"{tmp_path}/rows/**/*.csv",))
    with pytest.raises(ValueError, match="neither images nor tars nor tables; it has 1 files"):
        look(files(tmp_path / "none", x_bin=b""))


def test_tars(tmp_path: Path) -> None:
    members = {"a.jpg": picture(1), "a.txt": b"a bird", "b.jpg": picture(2), "b.json": b"{}"}
    path = tar(tmp_path / "x.tar", members)
    guess = look(path)
    assert guess.source == TarSource(name="x", tars=(str(path),))
    assert guess.saw == "1 tar; the members of x.tar are 2 images, 1 .txt and 1 .json."
    with pytest.raises(ValueError, match="holds no images"):
        look(tar(tmp_path / "y.tar", {"a.txt": b"x"}))
    with pytest.raises(ValueError, match="must be whole and uncompressed"):
        look(tar(tmp_path / "z.tar", members, "w:gz"))


def test_what_is_no_source_is_named_with_what_would_be_one(tmp_path: Path) -> None:
    for name, words in (
        ("x.tar.gz", "uncompressed"),
        ("x.xlsx", r"\.csv, \.tsv"),
        ("x.parquet.gz", "is no source"),
    ):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(ValueError, match=words):
            look(tmp_path / name)
    with pytest.raises(ValueError, match="there is no file"):
        look(tmp_path / "gone.csv")
    (tmp_path / "t.csv").write_text("file,caption\na.jpg,x\n")
    with pytest.raises(ValueError, match=r"no column of http or https URLs .* it has: 'file', 'caption'"):
        look(tmp_path / "t.csv")
