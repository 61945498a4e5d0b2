import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sdmodel.data.index import read_index


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
    pq.write_table(pa.table({"uid": ["1"], "file": ["a.tar"]}), tmp_path / "index.parquet")
    with pytest.raises(ValueError, match="missing: offset, length, split, captions"):
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

    def open_range(name: str, offset: int, length: int) -> bytes:
        asked.append((name, offset, length))
        return b"x" * length

    tars = {name: Path("bucket") / name for name in dataset.tars}
    index = read_index(dataset.index, tars, "train", open_range=open_range)
    assert index.bytes_of(60) == b"x" * int(index.lengths[60])
    assert asked == [("bucket/shards/train-00002.tar", int(index.offsets[60]), int(index.lengths[60]))]


def columns(path: Path, **columns: list) -> Path:
    """An index of two rows with further columns."""
    table = {
        "uid": ["a", "b"],
        "file": ["t", "t"],
        "offset": [0, 9],
        "length": [9, 9],
        "split": ["train"] * 2,
    }
    pq.write_table(pa.table({**table, "captions": [["one"], []], **columns}), path / "index.parquet")
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
