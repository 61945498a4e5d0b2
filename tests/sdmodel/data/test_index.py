import tarfile
from collections.abc import Callable
from pathlib import Path

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
