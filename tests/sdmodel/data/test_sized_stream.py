"""A stream at sizes that follow each other: the same rows in the same order, at the size of the moment."""

from itertools import islice

import pytest
import torch

from sdmodel.data.index import read_index
from sdmodel.data.sized_stream import SizedStream
from sdmodel.data.stream import Stream
from tests.sdmodel.decoding import decode_all

STAGES = ((8, 40), (16, 30), (12, 50))  # the second one ends within a batch of 8


@pytest.fixture(scope="module")
def index(dataset):
    return read_index(dataset.index, dataset.tars, "train")


def sized(index, made: list[int], rank: int = 0, world: int = 1) -> SizedStream:
    def stream_of(size: int) -> Stream:
        made.append(size)
        return Stream(decode_all(index, size), batch=8, seed=3, rank=rank, world=world)

    return SizedStream(STAGES, stream_of)


def test_the_order_of_rows_goes_on_where_the_size_changes(index):
    made: list[int] = []
    stream, plain = sized(index, made), Stream(decode_all(index, 16), batch=8, seed=3)
    sides: list[int] = []
    for batch, like in zip(islice(stream.batches(0), 17), plain.batches(0), strict=False):
        sides.append(batch.images.shape[-1])
        assert batch.uids == like.uids == stream.uids(batch.images_seen)
        assert torch.equal(batch.index, like.index)
        if batch.images.shape[-1] == 16:
            assert torch.equal(batch.images, like.images)
    assert sides == [8] * 5 + [16] * 4 + [12] * 8
    assert made == [8, 16, 12]  # each when its stage began


def test_it_goes_on_from_anywhere_in_any_process(index):
    whole = list(islice(sized(index, []).batches(0), 12))
    for images in (32, 40, 64, 72):
        made: list[int] = []
        late = next(sized(index, made).batches(images))
        assert torch.equal(late.images, whole[images // 8].images)
        assert made == [late.images.shape[-1]]  # nothing is decoded at sizes that are over
    parts = [next(sized(index, [], rank, 2).batches(40)) for rank in range(2)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole[5].images)
