import itertools

import numpy as np
import pytest
import torch

from sdmodel.config import DataConfig
from sdmodel.data.batch import Batch
from sdmodel.data.index import read_index
from sdmodel.data.pictures import PictureReader, Pictures, decode_all
from sdmodel.data.stream import Stream


@pytest.fixture(scope="module")
def pictures(dataset) -> PictureReader:
    return decode_all(read_index(dataset.index, dataset.tars, "train"), 8)


def joined(batches: list[Batch]) -> tuple:
    return (
        torch.cat([b.images for b in batches]),
        [c for b in batches for c in b.captions],
        [u for b in batches for u in b.uids],
        torch.cat([b.index for b in batches]),
    )


def test_processes_share_the_batch_of_one(pictures: PictureReader):
    for images in (0, 56, 120):  # 56 to 64 crosses into the second epoch
        whole = joined([Stream(pictures, batch=8, seed=3, data=DataConfig(flip=True)).at(images)])
        parts = [
            Stream(pictures, batch=8, seed=3, data=DataConfig(flip=True), rank=rank, world=4).at(images)
            for rank in range(4)
        ]
        assert [(part.start, part.size, len(part)) for part in parts] == [
            (0, 8, 2),
            (2, 8, 2),
            (4, 8, 2),
            (6, 8, 2),
        ]
        for one, many in zip(whole, joined(parts), strict=True):
            assert torch.equal(one, many) if isinstance(one, torch.Tensor) else one == many


def test_batches_from_the_middle_are_those_from_the_start(pictures: PictureReader):
    read_again = PictureReader(Pictures(pictures.index, 8))  # decodes as it reads, one batch ahead
    for source in (pictures, read_again):
        stream = Stream(source, batch=8, seed=0)
        late = list(itertools.islice(stream.batches(0), 12))[8:]
        assert all(torch.equal(a.images, b.images) for a, b in zip(late, stream.batches(64), strict=False))


def test_a_batch_is_what_the_rows_hold(pictures: PictureReader):
    batch = Stream(pictures, batch=63, seed=0).at(0)
    assert batch.images.shape == (63, 3, 8, 8)
    assert batch.images.dtype == torch.float32
    assert -1 <= batch.images.min() < batch.images.max() <= 1
    rows = [pictures.index.uids.index(uid) for uid in batch.uids]
    assert sorted(rows) == list(range(63))
    assert all(
        caption in pictures.index.captions[row] for row, caption in zip(rows, batch.captions, strict=True)
    )
    assert 10 < sum(caption.isupper() for caption in batch.captions) < 53  # both captions are chosen
    expected = pictures.pictures.read(np.array(rows))
    assert torch.equal(((batch.images + 1) * 127.5).round().to(torch.uint8), torch.from_numpy(expected))


def test_mirrored_pictures_are_mirrored(pictures: PictureReader):
    plain = Stream(pictures, batch=63, seed=0).at(0).images
    some = Stream(pictures, batch=63, seed=0, data=DataConfig(flip=True)).at(0).images
    mirrored = [
        torch.equal(a.flip(-1), b) and not torch.equal(a, b) for a, b in zip(plain, some, strict=True)
    ]
    kept = [torch.equal(a, b) for a, b in zip(plain, some, strict=True)]
    assert 15 < sum(mirrored) < 48
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))


def test_a_batch_that_cannot_be_shared_is_refused(pictures: PictureReader):
    with pytest.raises(ValueError, match="batch=9 cannot be shared by 2 processes"):
        Stream(pictures, batch=9, seed=0, world=2)


def test_draws_of_processes_are_the_rows_of_one_draw(pictures: PictureReader):
    def draw(batch: Batch) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(5)
        return [batch.normal(generator, 2, 3), batch.uniform(generator), batch.stratified(generator)]

    whole = draw(Stream(pictures, batch=8, seed=3).at(0))
    parts = [draw(Stream(pictures, batch=8, seed=3, rank=rank, world=2).at(0)) for rank in range(2)]
    for one, many in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(one, torch.cat(many))
    assert sorted((whole[2] * 8).long().tolist()) == list(range(8))  # one in each stratum
