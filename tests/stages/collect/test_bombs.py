"""Small tables that unpack to gigabytes: rows are refused by name, and memory stays bounded."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.sources.delimited import Dialect, read_delimited
from stages.collect.sources.limits import ReadContext, RowLimits
from stages.collect.sources.page_headers import DELTA_BYTE_ARRAY, read_page_headers
from stages.collect.sources.parquet_batches import opened
from stages.collect.sources.parquets import parquet_rows, read_images
from stages.collect.sources.rows import SourceRow
from stages.collect.sources.tables import url_rows
from stages.config.collect import ParquetSource, UrlSource
from stages.record import uid_of

MB = 1_000_000
TIGHT = ReadContext(limits=RowLimits(cell_bytes=1000, row_bytes=3000, caption_chars=100))

MEASURE = """
import json, sys
from pathlib import Path
from stages.collect.sources.rows import write_rows
from stages.collect.sources.tables import url_rows
from stages.config.collect import UrlSource

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000

import pyarrow.compute, pyarrow.parquet
before = peak()
found = []
def counted(rows):
    reasons = {}
    for row in rows:
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
        yield row
    found.append(reasons)
for table in sys.argv[1:]:
    source = UrlSource(name="web", tables=(table,), columns=("n",) if table.endswith("parquet") else ())
    write_rows(counted(url_rows(source, changed=False)), Path(table + ".rows"))
print(json.dumps([peak() - before, found]))
"""


def measured(*tables: Path) -> tuple[float, list[dict[str, int]]]:
    """Peak of memory that reading some tables takes, in MB above the imports'; the rows of each by reason."""
    command = [sys.executable, "-c", MEASURE, *map(str, tables)]
    peak, reasons = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return peak, reasons


def zst(path: Path, pieces: Iterator[bytes]) -> Path:
    with path.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as packed:
        for piece in pieces:
            packed.write(piece)
    return path


def repeated(text: str, rows: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


def long_line() -> Iterator[bytes]:
    yield b'{"url": "http://a.example/1", "caption": "a"}\n{"url": "http://a.example/2", "caption": "'
    for _ in range(300):
        yield b"x" * MB
    yield b'"}\n{"url": "http://a.example/3", "caption": "c"}\n'


def long_record() -> Iterator[bytes]:
    yield b'url,caption\nhttp://a.example/1,a\nhttp://a.example/2,"x'
    for _ in range(60):
        yield b'x, ""' * 200_000 + b"\n"
    yield b'"\nhttp://a.example/3,c\n'


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_tables_of_kilobytes_that_unpack_to_gigabytes(tmp_path: Path) -> None:
    urls = [f"http://a.example/{number}" for number in range(10_000)]
    texts = {"caption": repeated("x" * 200_000, 10_000), "n": repeated("y" * 5000, 10_000)}
    pq.write_table(pa.table({"url": urls, **texts}), tmp_path / "t.parquet", compression="zstd")
    assert (tmp_path / "t.parquet").stat().st_size < 100_000  # of 2.05 GB
    text = "z" * 9000  # each may be: together they are 81 MB
    rows = (f'{{"url": "http://a.example/{n}", "caption": "{text}"}}\n'.encode() for n in range(9_000))
    peak, reasons = measured(
        tmp_path / "t.parquet",
        zst(tmp_path / "line.jsonl.zst", long_line()),
        zst(tmp_path / "rows.jsonl.zst", rows),
        zst(tmp_path / "record.csv.zst", long_record()),
    )
    assert reasons == [
        {"cell_too_long": 10_000},
        {"": 2, "row_too_long": 1},
        {"": 9_000},
        {"": 2, "row_too_long": 1},
    ]
    assert peak < 300  # two cores take 170, one 90: Arrow has a thread for each


def rows_of(path: Path, **changes: Any) -> list[SourceRow]:
    source = UrlSource(name="web", tables=(str(path),), **changes)
    return list(url_rows(source, changed=False, reading=TIGHT))


def faults(rows: list[SourceRow]) -> list[tuple[str, str, str]]:
    return [(row.reason, row.rule, row.detail) for row in rows if row.reason]


def test_a_cell_that_python_s_csv_would_not_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"url,caption,note\nhttp://a.example/,x,{'n' * 200_000}\n")
    source = UrlSource(name="web", tables=(str(tmp_path / "t.csv"),))
    (row,) = url_rows(source, changed=False)
    assert (row.captions, row.reason) == (["x"], "")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_rows_that_hold_too_much_are_refused_with_their_lines(tmp_path: Path, kind: str) -> None:
    cells = [
        ("a", "a"),
        ("long caption", "x" * 101),
        ("long cell", "y" * 1001),
        ("long row", "z" * 4000),
        ("b", "b"),
    ]
    urls = [f"http://a.example/{name.replace(' ', '-')}" for name, _ in cells]
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        lines = [f'{url},"{text}"' for url, (_, text) in zip(urls, cells, strict=True)]
        path.write_text("\n".join(["url,caption", *lines, ""]))
        first = 2
    else:
        path.write_text(
            "".join(
                json.dumps({"url": u, "caption": t}) + "\n" for u, (_, t) in zip(urls, cells, strict=True)
            )
        )
        first = 1
    rows = rows_of(path)
    assert faults(rows) == [
        ("cell_too_long", "max_caption_chars=100", f"line {first + 1}: a caption has 101 characters"),
        ("cell_too_long", "max_cell_bytes=1000", f"line {first + 2}: 'caption' is longer"),
        ("row_too_long", "max_row_bytes=3000", f"line {first + 3} is longer"),
    ]
    assert [row.captions for row in rows] == [["a"], [], [], [], ["b"]]
    assert [row.location for row in rows] == [urls[0], urls[1], urls[2], "", urls[4]]
    assert [row.row for row in rows] == [f"web:t.{kind}:{number}" for number in range(5)]


def test_a_refused_row_does_not_stand_for_another_with_its_url(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"url,caption\nhttp://a.example/,{'x' * 101}\nhttp://a.example/,good\n")
    refused, good = rows_of(tmp_path / "t.csv")
    assert good.uid == uid_of("web", "http://a.example/") != refused.uid


def test_cells_of_parquet_of_any_kind(tmp_path: Path) -> None:
    values: dict[str, list[Any]] = {
        "url": [f"http://a.example/{number}" for number in range(4)],
        "caption": [["a", "b"], ["c" * 2000], None, ["d"]],
        "numbers": [[1, 2], [1], [0] * 500, None],
        "more": [{"k": "v", "l": [b"x"]}, None, {"k": "w", "l": []}, {"k": "u" * 2000, "l": None}],
        "fixed": [b"12345678"] * 4,
    }
    schema = {
        "caption": pa.list_(pa.string()), "numbers": pa.list_(pa.int32()), "fixed": pa.binary(8),
        "more": pa.struct([("k", pa.string()), ("l", pa.list_(pa.binary()))]),
    }  # fmt: skip
    arrays = {name: pa.array(cells, schema.get(name)) for name, cells in values.items()}
    pq.write_table(pa.table(arrays), tmp_path / "t.parquet", row_group_size=3)
    rows = rows_of(tmp_path / "t.parquet", columns=("numbers", "more", "fixed"))
    assert json.loads(rows[0].columns) == {
        "numbers": [1, 2],
        "more": {"k": "v", "l": ["x"]},
        "fixed": "12345678",
    }
    assert rows[0].captions == ["a", "b"]
    assert [row.detail for row in rows] == [
        "", "row 2: 'caption' is longer", "row 3: 'numbers' is longer", "row 4: 'more' is longer",
    ]  # fmt: skip


def test_a_page_that_unpacks_to_too_much_refuses_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table(
        {"url": ["http://a.example/"] * 1000, "caption": [f"{n:05d}" * 200 for n in range(1000)]}
    )
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd", use_dictionary=False)
    monkeypatch.setattr("stages.collect.sources.parquet_batches.PAGE_BYTES", 100_000)
    words = "column 'caption': a page unpacks to 1,0[0-9,]* bytes, of at most 100,000; write the file anew"
    with pytest.raises(ValueError, match=words):
        rows_of(tmp_path / "t.parquet")


def test_lists_of_too_many_values_refuse_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros in a list take next to nothing on disk."""
    monkeypatch.setattr("stages.collect.sources.parquet_batches._LIST_VALUES", 100_000)
    count = 100_001
    offsets, zeros = (
        pa.array([0, count], pa.int32()),
        pa.DictionaryArray.from_arrays(pa.nulls(count, pa.int8()).fill_null(0), pa.array([0])),
    )
    table = pa.table(
        {"url": ["http://a.example/"], "caption": ["x"], "n": pa.ListArray.from_arrays(offsets, zeros)}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 5_000
    with pytest.raises(
        ValueError, match=r"column 'n\.list\.element': the lists of one row group hold 100,001 values"
    ):
        rows_of(tmp_path / "t.parquet", columns=("n",))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "RLE_DICTIONARY"])
def test_pages_are_told_by_their_headers(tmp_path: Path, encoding: str, version: Any) -> None:
    texts = [f"{number:06d}" * 20 for number in range(3000)]
    options: Any = {"use_dictionary": True, "write_statistics": False}
    if encoding != "RLE_DICTIONARY":
        options |= {"use_dictionary": False, "column_encoding": encoding}
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"a": texts}),
        path,
        data_page_version=version,
        data_page_size=50_000,
        compression="zstd",
        **options,
    )
    with path.open("rb") as file:
        table = opened(file)
        chunk = table.metadata.row_group(0).column(0)
        told = read_page_headers(file, chunk)
        data = [page for page in told if not page.is_dictionary]
        assert sum(page.values for page in data) == 3000
        assert [page.values for page in told if page.is_dictionary] == [3000] * (encoding == "RLE_DICTIONARY")
        headers = chunk.total_uncompressed_size - sum(page.size for page in told)
        assert 0 < headers < 100 * len(told)
        assert {page.encoding == DELTA_BYTE_ARRAY for page in data} == {encoding == "DELTA_BYTE_ARRAY"}
        for place in range(0, 400, 7):  # nonsense is an error, never a loop
            with pytest.raises(ValueError, match="page"):
                read_page_headers(io.BytesIO(bytes([255, place % 256]) * 5000), chunk)


def test_pictures_in_parquet_that_repeat_or_are_too_long(tmp_path: Path) -> None:
    image = pa.StructArray.from_arrays(
        [repeated("p" * 5000, 100).cast(pa.dictionary(pa.int32(), pa.binary())), pa.nulls(100, pa.string())],
        ["bytes", "path"],
    )
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": image, "caption": ["x" * 101, *"y" * 99]}), path)
    assert dict(read_images(path, "image", [0, 99], 5000)) == {0: b"p" * 5000, 99: b"p" * 5000}
    assert dict(read_images(path, "image", [3], 4999)) == {3: 5000}
    rows = list(parquet_rows(ParquetSource(name="hf", tables=(str(path),)), {}, None, TIGHT))
    assert faults(rows) == [("cell_too_long", "max_caption_chars=100", "row 1: a caption has 101 characters")]
    assert len(rows) == 100


@given(
    st.lists(st.lists(st.text('a" ,\n', max_size=12), min_size=2, max_size=2), min_size=1, max_size=8),
    st.booleans(),
)
def test_what_follows_a_long_record_is_read_as_if_it_were_not_there(
    records: list[list[str]], quoted: bool
) -> None:
    """Against the csv module itself, which reads all records and does not mind their length."""
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL, lineterminator="\n").writerows(
        records
    )
    text = buffer.getvalue()
    reading = ReadContext(limits=RowLimits(cell_bytes=1000, row_bytes=14, caption_chars=100))
    batches = read_delimited(
        io.BytesIO(b"u,c\n" + text.encode()), ["u", "c"], "t.csv", ",", Dialect(), reading, False
    )
    found = [
        None if number in batch.rejections else [batch.columns["u"][number], batch.columns["c"][number]]
        for batch in batches
        for number in range(len(batch))
    ]
    assert [row for row in found if row] == [
        record for record in csv.reader(io.StringIO(text)) if size(record, quoted) <= 14
    ]
    assert len(found) == len(records)


def size(record: list[str], quoted: bool) -> int:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL, lineterminator="\n").writerow(
        record
    )
    return len(buffer.getvalue())
