import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sdmodel.config import DataConfig
from sdmodel.data.index import read_index
from sdmodel.data.kept import decode_shared
from sdmodel.data.pictures import decode_all, decode_row


@pytest.fixture
def index(dataset):
    return read_index(dataset.index, dataset.tars, "train")


def test_processes_share_the_decoding(index, tmp_path: Path):
    barrier = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        both = list(
            pool.map(
                lambda rank: decode_shared(index, 16, tmp_path, rank, 2, lambda: barrier.wait(20)), range(2)
            )
        )
    rows = np.arange(len(index))
    expected = decode_all(index, 16).pictures.read(rows)
    assert expected.shape == (63, 3, 16, 16)
    for one in both:
        assert (one.pictures.read(rows) == expected).all()


def test_a_second_call_decodes_nothing(index, tmp_path: Path):
    decode_shared(index, 16, tmp_path)
    gone = dataclasses.replace(index, files=[tmp_path / "gone.tar"] * len(index))
    assert (
        decode_shared(gone, 16, tmp_path).pictures.read(np.array([5]))
        == decode_all(index, 16).pictures.read(np.array([5]))
    ).all()
    with pytest.raises(FileNotFoundError):
        decode_shared(gone, 8, tmp_path)  # another size is another set


def test_a_large_set_is_decoded_as_it_is_read(index, tmp_path: Path):
    large = decode_shared(index, 16, tmp_path, data=DataConfig(memory=0)).pictures
    assert large.kept is None
    assert list(tmp_path.iterdir()) == []
    rows = np.array([3, 1, 60])
    assert (large.read(rows) == decode_all(index, 16).pictures.read(rows)).all()


def test_a_picture_that_cannot_be_decoded_is_named(index):
    wrong = dataclasses.replace(index, offsets=index.offsets + 100)
    with pytest.raises(ValueError, match=f"{index.uids[2]} cannot be decoded"):
        decode_row(wrong, 2, 16)
