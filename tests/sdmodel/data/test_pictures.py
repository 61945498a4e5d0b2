import dataclasses
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from sdmodel.config.learning import DataConfig
from sdmodel.data.decoded_cache import decode_shared
from sdmodel.data.index import read_index
from sdmodel.data.pictures import decode_row
from sdmodel.data.pixels import to_float
from sdmodel.data.reader import Augmentations
from tests.sdmodel.decoding import decode_all


@pytest.fixture
def index(dataset):
    return read_index(dataset.index, dataset.tars, "train")


def test_processes_share_the_decoding(index, tmp_path: Path):
    barrier = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        both = list(
            pool.map(
                lambda rank: decode_shared(index, 16, tmp_path, rank, 2, lambda: barrier.wait(300)), range(2)
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
    assert large.decoded is None
    assert list(tmp_path.iterdir()) == []
    rows = np.array([3, 1, 60])
    assert (large.read(rows) == decode_all(index, 16).pictures.read(rows)).all()


def test_a_picture_that_cannot_be_decoded_is_named(index):
    offsets = index.offsets + 100
    data = index.read_range(str(index.files[2]), int(offsets[2]), int(index.lengths[2]))
    checksums = np.where(np.arange(len(index)) == 2, zlib.crc32(data), index.checksums)
    wrong = dataclasses.replace(index, offsets=offsets, checksums=checksums)
    with pytest.raises(ValueError, match=f"{index.uids[2]} cannot be decoded"):
        decode_row(wrong, 2, 16)


def test_kept_or_not_in_buckets_with_margins_pictures_are_the_same(index, tmp_path: Path):
    # Shapes as the pictures have them, and one bucket that nothing falls into.
    sizes = np.array([[50, 100], [70, 70]])[np.arange(len(index)) % 2]
    index = dataclasses.replace(index, sizes=sizes)
    data = DataConfig(buckets=3, crop=True)
    kept = decode_shared(index, 64, tmp_path, data=data)
    read = decode_shared(index, 64, tmp_path / "none", data=dataclasses.replace(data, memory=0))
    assert kept.pictures.decoded is not None
    assert read.pictures.decoded is None
    assert kept.shapes == [(96, 48), (64, 64), (48, 96)]
    assert kept.pictures.sides == [(108, 54), (72, 72), (54, 108)]  # an eighth to choose crops from
    assert np.bincount(kept.buckets, minlength=3).tolist() == [0, 31, 32]
    for bucket in (1, 2):
        rows = np.flatnonzero(kept.buckets == bucket)[[4, 0, 9]]
        assert (kept.pictures.read(rows, bucket) == read.pictures.read(rows, bucket)).all()


def test_crops_reach_from_corner_to_corner(index):
    reader = decode_all(index, 16, DataConfig(crop=True))
    whole = to_float(reader.pictures.read(np.array([7, 7, 7])))  # (3, 3, 18, 18)
    seen = Augmentations(
        captions=[""] * 3,
        caption=np.zeros(3, np.int64),
        mirror=np.array([False, False, True]),
        crop=np.array([[0, 0.999], [0.5, 0.5], [0.999, 0]]),
        colour=np.ones((3, 3)),
        augmented=None,
    )
    images = reader.read(np.array([7, 7, 7]), seen, 0).images
    assert torch.equal(images[0], whole[0, :, :16, 2:])
    assert torch.equal(images[1], whole[0, :, 1:17, 1:17])
    assert torch.equal(images[2], whole[0, :, 2:, :16].flip(-1))


def test_buckets_need_sizes(index):
    with pytest.raises(ValueError, match="no columns 'height' and 'width'"):
        decode_all(dataclasses.replace(index, sizes=None), 64, DataConfig(buckets=3))
