import random
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sdmodel.data.index import KEY, VERSION, caption_texts, read_index, with_version
from sdmodel.data.local_ranges import LocalRanges, ReadRange
from sdmodel.data.pixels import decode
from sdmodel.data.remote_ranges import RemoteRanges


def test_bytes_are_those_that_tarfile_finds(dataset):
    index = read_index(dataset.index, dataset.tars, "train")
    assert len(index) == 63
    for row in range(len(index)):
        with tarfile.open(index.files[row]) as tar:
            member = next(m for m in tar if m.name.startswith(index.uids[row]))
            assert tar.extractfile(member).read() == index.bytes_of(row)


def test_a_split_without_rows_is_named(dataset):
    with pytest.raises(ValueError, match=r"no rows in split 'test'.*'train': 63.*'validation': 7"):
        read_index(dataset.index, dataset.tars, "test")


def test_a_missing_column_is_named(tmp_path: Path):
    pq.write_table(with_version(pa.table({"uid": ["1"], "file": ["a.tar"]})), tmp_path / "index.parquet")
    with pytest.raises(ValueError, match="missing: offset, length, checksum, split, captions"):
        read_index(tmp_path / "index.parquet", {}, "train")


def test_a_tar_that_was_not_given_is_named(dataset):
    with pytest.raises(ValueError, match=r"shards/train-00001\.tar"):
        read_index(dataset.index, {k: v for k, v in dataset.tars.items() if "00001" not in k}, "train")


def test_a_tar_that_ends_early_is_named(write_dataset: Callable, tmp_path: Path):
    written = write_dataset(tmp_path, 5)
    tar = next(iter(written.tars.values()))
    index = read_index(written.index, written.tars, "train")
    tar.write_bytes(tar.read_bytes()[: int(index.offsets[4]) + 10])
    index.bytes_of(3)
    with pytest.raises(ValueError, match="ends after 10"):
        index.bytes_of(4)


def test_ranges_come_from_elsewhere_where_no_file_is_here(dataset):
    asked = []
    here = LocalRanges()

    def read_range(name: str, offset: int, length: int) -> bytes:
        asked.append((name, offset, length))
        return here(str(dataset.tars[name.removeprefix("bucket/")]), offset, length)

    tars = {name: Path("bucket") / name for name in dataset.tars}
    index = read_index(dataset.index, tars, "train", read_range=read_range)
    assert index.bytes_of(60) == read_index(dataset.index, dataset.tars, "train").bytes_of(60)
    assert asked == [("bucket/shards/train-00002.tar", int(index.offsets[60]), int(index.lengths[60]))]


@pytest.mark.parametrize("read_range", [LocalRanges(), RemoteRanges()])
def test_a_flipped_bit_is_noticed_at_each_read(
    write_dataset: Callable, tmp_path: Path, read_range: ReadRange
):
    """Most flips decode to other pixels without a word, so only the checksum can tell."""
    written = write_dataset(tmp_path, 20)
    (tar,) = written.tars.values()
    names = {name: str(path) for name, path in written.tars.items()}
    if isinstance(read_range, RemoteRanges):
        names = {name: f"file://{path}" for name, path in names.items()}
    index = read_index(written.index, names, "train", read_range=read_range)
    before, chance, decoded = tar.read_bytes(), random.Random(0), 0
    for _ in range(60):
        row = chance.randrange(len(index))
        at = int(index.offsets[row]) + chance.randrange(int(index.lengths[row]))
        with tar.open("r+b") as file:  # in place: the same file stays mapped
            file.seek(at)
            file.write(bytes([before[at] ^ 1 << chance.randrange(8)]))
        found = f"picture {index.uids[row]} at offset {index.offsets[row]} should have the checksum "
        with pytest.raises(ValueError, match=rf"{found}[0-9a-f]{{8}} and has [0-9a-f]{{8}}: .*sdflow verify"):
            index.bytes_of(row)
        with suppress(OSError):
            data = tar.read_bytes()[int(index.offsets[row]) :][: int(index.lengths[row])]
            decoded += len(decode(data, 16)) > 0
        with tar.open("r+b") as file:
            file.seek(at)
            file.write(before[at : at + 1])
    assert decoded > 20, "without the checksum these would have been trained on"
    assert [len(index.bytes_of(row)) for row in range(len(index))] == index.lengths.tolist()


def test_a_purged_picture_is_not_read(write_dataset: Callable, tmp_path: Path):
    written = write_dataset(tmp_path, 5)
    (tar,) = written.tars.values()
    index = read_index(written.index, written.tars, "train")
    with tar.open("r+b") as file:
        file.seek(int(index.offsets[2]))
        file.write(bytes(int(index.lengths[2])))
    with pytest.raises(ValueError, match=r"was purged after a take-down; filter and shard again"):
        index.bytes_of(2)


@pytest.mark.parametrize("version", [None, "1", "3"])
def test_another_version_is_refused_and_says_what_to_do(dataset, tmp_path: Path, version: str | None):
    table = pq.read_table(dataset.index)
    metadata = {} if version is None else {KEY: version}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "index.parquet")
    words = rf"of version {version or 1}, and this program reads version {VERSION}; make the dataset again"
    with pytest.raises(ValueError, match=words):
        read_index(tmp_path / "index.parquet", dataset.tars, "train")


def test_captions_are_texts_whatever_else_is_said_of_them():
    captions = pa.array(
        [[{"text": "a", "weight": 1.0}, {"text": "b", "weight": 0.5}], [], None, [{"text": "c"}]]
    )
    assert caption_texts(captions) == [["a", "b"], [], [], ["c"]]
    assert caption_texts(pa.chunked_array([captions, captions])[3:6]) == [["c"], ["a", "b"], []]
    assert caption_texts(captions[:0]) == []


def columns(path: Path, **columns: list) -> Path:
    """An index of two rows with further columns."""
    table = {
        "uid": ["a", "b"],
        "file": ["t", "t"],
        "offset": [0, 9],
        "length": [9, 9],
        "checksum": [0, 0],
        "split": ["train"] * 2,
    }
    captions = [[{"text": "one"}], []]
    pq.write_table(with_version(pa.table({**table, "captions": captions, **columns})), path / "index.parquet")
    return path / "index.parquet"


def test_sizes_multiplicity_and_weight_are_read(tmp_path: Path):
    path = columns(tmp_path, height=[5, 6], width=[7, 8], multiplicity=[1, 3], similarity=[0.25, 0.5])
    index = read_index(path, {"t": tmp_path / "t"}, "train", weight="similarity")
    assert index.sizes is not None
    assert index.sizes.tolist() == [[5, 7], [6, 8]]
    assert np.equal(index.multiplicity, [1, 3]).all()
    assert np.equal(index.weight, [0.25, 0.5]).all()
    plain = read_index(columns(tmp_path), {"t": tmp_path / "t"}, "train")
    assert (plain.sizes, plain.multiplicity, plain.weight) == (None, None, None)


@pytest.mark.parametrize("held", [[None, 0.5], ["much", "little"]])
def test_a_column_without_numbers_is_named(tmp_path: Path, held: list):
    with pytest.raises(ValueError, match=r"'similarity' of the index .* numbers in every row"):
        read_index(columns(tmp_path, similarity=held), {"t": tmp_path}, "train", weight="similarity")
    with pytest.raises(ValueError, match="no column 'score' to weight by"):
        read_index(columns(tmp_path), {"t": tmp_path}, "train", weight="score")
