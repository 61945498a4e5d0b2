"""Pictures of tars that are read where they lie."""

from pathlib import Path

import numpy as np
import pytest

from sdmodel.data.index import read_index
from sdmodel.data.remote_ranges import RemoteRanges, is_remote
from tests.sdmodel.decoding import decode_all


def test_a_dataset_is_read_by_ranges_as_it_is_from_files(dataset):
    here = read_index(dataset.index, dataset.tars, "train")
    urls = {name: f"file://{path}" for name, path in dataset.tars.items()}
    assert all(map(is_remote, urls.values()))
    there = read_index(dataset.index, urls, "train", read_range=RemoteRanges())
    assert all(there.bytes_of(row) == here.bytes_of(row) for row in range(len(here)))
    rows = np.arange(4)
    assert (decode_all(there, 8).pictures.read(rows) == decode_all(here, 8).pictures.read(rows)).all()


def test_what_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "short.tar").write_bytes(b"0123456789")
    read = RemoteRanges()
    assert read(f"file://{tmp_path}/short.tar", 2, 3) == b"234"
    with pytest.raises(OSError, match=r"none\.tar: bytes 0 to 3 cannot be read"):
        read(f"file://{tmp_path}/none.tar", 0, 3)
    assert not is_remote("/a/path://b")
    assert not is_remote("C:/a")
