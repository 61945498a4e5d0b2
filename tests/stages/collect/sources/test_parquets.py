"""Parquet files that hold the pictures themselves: as HF `datasets` writes them, and what is none."""

import io
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.sources.files import snapshot, stamps_of
from stages.collect.sources.parquets import IN_TABLE, parquet_rows, read_images
from stages.collect.sources.rows import SourceRow
from stages.config.collect import CollectConfig, ParquetSource
from stages.record import uid_of
from tests.stages.collect.conftest import picture

PICTURES = [picture(number) for number in range(5)]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def hf(path: Path, group: int = 2) -> Path:
    """A file in the layout of `datasets.Image`: a row without a picture, one with a path alone."""
    images: list[dict[str, Any] | None] = [{"bytes": data, "path": "same.png"} for data in PICTURES]
    images += [None, {"bytes": None, "path": "/elsewhere/x.png"}, {"bytes": b"", "path": None}]
    captions = ["one", None, " ", "four", "five", "six", "seven", "eight"]
    licences = ["cc0", "", None, "cc0", "cc0", "cc0", "cc0", "cc0"]
    table = pa.table(
        {
            "label": list(range(8)),
            "image": pa.array(images, STRUCT),
            "caption": captions,
            "alts": [["a", "b"]] * 8,
            "licence": licences,
        }
    )
    pq.write_table(table, path, row_group_size=group)
    return path


def rows_of(*tables: Path | str, **changes: Any) -> list[SourceRow]:
    return list(parquet_rows(ParquetSource(name="hf", tables=tuple(map(str, tables)), **changes), {}, None))


def test_every_row_says_where_its_picture_lies(tmp_path: Path) -> None:
    path = hf(tmp_path / "train-0.parquet")
    rows = rows_of(
        path,
        caption_columns=("alts", "caption"),
        licence_column="licence",
        licence="unclear",
        columns=("label",),
    )
    assert [row.location for row in rows] == [f"train-0.parquet#{number}" for number in range(8)]
    assert rows[3].uid == uid_of("hf", "train-0.parquet#3")
    assert rows[3].row == "hf:train-0.parquet:3"
    assert (rows[3].path, rows[3].offset, rows[3].length) == (str(path), 3, IN_TABLE)
    assert (rows[0].captions, rows[0].caption_sources) == (["a", "b", "one"], ["alts", "alts", "caption"])
    assert (rows[1].captions, rows[1].caption_sources) == (["a", "b"], ["alts", "alts"])
    assert [row.licence for row in rows[:4]] == ["cc0", "unclear", "unclear", "cc0"]
    assert rows[3].columns == '{"label": 3}'
    assert rows[0].reason == ""


def test_rows_of_files_without_any_told_column(tmp_path: Path) -> None:
    rows = rows_of(hf(tmp_path / "t.parquet"), caption_columns=())
    assert len(rows) == 8
    assert [(row.captions, row.licence, row.columns) for row in rows] == [([], "", "{}")] * 8


@pytest.mark.parametrize("group", [1, 3, 100])
def test_pictures_are_read_back(tmp_path: Path, group: int) -> None:
    path = hf(tmp_path / "t.parquet", group)
    assert list(read_images(path, "image", range(8), 10**6)) == list(enumerate([*PICTURES, None, None, None]))
    assert list(read_images(path, "image", [1, 4], 10**6)) == [(1, PICTURES[1]), (4, PICTURES[4])]
    assert list(read_images(path, "image", [], 10**6)) == []
    with pytest.raises(IndexError, match="has 8 rows, none of number 8"):
        list(read_images(path, "image", [7, 8], 10**6))


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_column_of_bytes_alone(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"the.png": pa.array([*PICTURES, None], kind), "caption": ["x"] * 6}), path)
    rows = rows_of(path, image_column="the.png")
    read = read_images(path, "the.png", [row.offset for row in rows], 10**6)
    assert [data for _, data in read] == [*PICTURES, None]


@given(st.lists(st.binary(max_size=4) | st.none(), max_size=60), st.integers(1, 40), st.data())
def test_any_rows_of_any_groups(cells: list[bytes | None], group: int, data: st.DataObject) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": pa.array(cells, pa.binary())}), buffer, row_group_size=group)
    numbers = sorted(data.draw(st.sets(st.sampled_from(range(len(cells)))))) if cells else []
    with NamedTemporaryFile(suffix=".parquet") as file:
        Path(file.name).write_bytes(buffer.getvalue())
        images = list(read_images(Path(file.name), "image", numbers, 10**6))
    assert images == [(row, cells[row] or None) for row in numbers]


def test_only_the_row_groups_that_hold_them_are_read(tmp_path: Path) -> None:
    """The others' bytes may be damaged."""
    path = tmp_path / "t.parquet"
    table = pa.table({"image": pa.array([bytes([n]) * 10_000 for n in range(9)], pa.binary())})
    pq.write_table(table, path, row_group_size=3, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data[chunk.data_page_offset : chunk.data_page_offset + 20] = b"\xff" * 20
    path.write_bytes(data)
    assert [row for row, _ in read_images(path, "image", [0, 2, 6, 8], 10**6)] == [0, 2, 6, 8]
    with pytest.raises(ValueError, match="no header of a page"):
        list(read_images(path, "image", [4], 10**6))


def test_what_a_file_changed_since_the_last_edition_is_told(tmp_path: Path) -> None:
    source = ParquetSource(name="hf", tables=(str(hf(tmp_path / "t.parquet")),))

    def stamps() -> dict[str, str]:
        return dict(stamps_of(snapshot(CollectConfig(parquets=(source,))).contents, "hf"))

    before = stamps()
    assert {row.changed for row in parquet_rows(source, before, None)} == {False}
    assert {row.changed for row in parquet_rows(source, before, before)} == {False}
    assert {row.stamp for row in parquet_rows(source, before, before)} == set(before.values())
    hf(tmp_path / "t.parquet", group=3)
    assert {row.changed for row in parquet_rows(source, stamps(), before)} == {True}


def test_files_that_hold_no_pictures_are_refused(tmp_path: Path) -> None:
    path = hf(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"t\.parquet' has no column 'img'; it has: 'label', 'image', "):
        rows_of(path, image_column="img")
    with pytest.raises(ValueError, match="no column 'text'"):
        rows_of(path, caption_columns=("text",))
    with pytest.raises(ValueError, match=r"'caption' of .* is string, neither bytes nor .* in image_column"):
        rows_of(path, image_column="caption")
    pq.write_table(pa.table({"image": pa.array([], STRUCT), "caption": pa.array([], pa.string())}), path)
    with pytest.raises(ValueError, match=r"t\.parquet' of source 'hf' has no rows"):
        rows_of(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"t\.parquet' of source 'hf' cannot be read as Parquet"):
        rows_of(path)


def test_files_must_be_here_and_named_apart(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(ValueError, match="share a name; make them two sources"):
        rows_of(hf(tmp_path / "t.parquet"), hf(tmp_path / "sub" / "t.parquet"))
    fsspec.filesystem("memory").pipe("/pictures/t.parquet", (tmp_path / "t.parquet").read_bytes())
    with pytest.raises(ValueError, match="copy Parquet files with pictures to a local folder"):
        rows_of("memory://pictures/t.parquet")
