import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdmodel.config.learning import DataConfig
from sdmodel.data.batch import Batch
from sdmodel.data.index import read_index
from sdmodel.data.pictures import PictureReader, Pictures
from sdmodel.data.stream import Stream
from tests.sdmodel.decoding import decode_all


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
        assert joined([Stream(pictures, batch=8, seed=3).at(images)])[2] == Stream(
            pictures, batch=8, seed=3, rank=1, world=4
        ).uids(images)
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
        return [batch.normal("noise", 2, 3), batch.uniform("some"), batch.stratified("times")]

    whole = draw(Stream(pictures, batch=8, seed=3).at(0))
    parts = [draw(Stream(pictures, batch=8, seed=3, rank=rank, world=2).at(0)) for rank in range(2)]
    for one, many in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(one, torch.cat(many))
    assert sorted((whole[2] * 8).long().tolist()) == list(range(8))  # one in each stratum


EVERYTHING = DataConfig(
    flip=True, crop=True, colour=0.4, augment=0.5, buckets=3, copies=0.5, weight="similarity"
)


@pytest.fixture(scope="module")
def varied(dataset) -> PictureReader:
    """The same pictures, said to be of three shapes and found up to six times."""
    index = read_index(dataset.index, dataset.tars, "train")
    rng = np.random.default_rng(0)
    shapes = np.array([[100, 50], [70, 70], [50, 100]])
    index = dataclasses.replace(
        index,
        sizes=shapes[rng.choice(3, len(index), p=[0.1, 0.3, 0.6])],
        multiplicity=rng.integers(1, 7, len(index)).astype(float),
        weight=rng.random(len(index)),
        captions=[[*captions, "a half"] for captions in index.captions],
    )
    return decode_all(index, 64, EVERYTHING)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="memory is pinned for a GPU")
def test_pinned_batches_hold_the_same(pictures: PictureReader):
    plain, pinned = (Stream(pictures, batch=8, seed=0, pin=pin).at(0) for pin in (False, True))
    assert equal(plain, pinned)
    assert pinned.images.is_pinned()
    assert pinned.images.stride() == plain.images.stride()


def equal(one: Batch, other: Batch) -> bool:
    """In all that a batch holds."""
    for field in dataclasses.fields(Batch):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if not (torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b):
            return False
    return True


@settings(max_examples=8, deadline=None)
@given(batches=st.integers(0, 10_000), seed=st.integers(0, 2**40))
def test_with_all_variations_processes_and_parts_share_the_batch_of_one(
    varied: PictureReader, batches: int, seed: int
):
    def at(rank: int, world: int) -> Batch:
        stream = Stream(varied, batch=8, seed=seed, data=EVERYTHING, rank=rank, world=world)
        return stream.at(8 * batches)

    whole = at(0, 1)
    for number in range(2):
        assert equal(at(number, 2), whole.micro_batch(number, 2))
    assert whole.augmented is not None
    assert whole.augmented.shape == (8, 9)


def test_with_all_variations_a_resume_sees_what_an_undisturbed_run_sees(varied: PictureReader):
    def stream() -> Stream:
        return Stream(varied, batch=6, seed=1, data=EVERYTHING)

    run = list(itertools.islice(stream().batches(0), 12))
    assert len({tuple(batch.images.shape) for batch in run}) == 3
    for number in (0, 5, 11):
        assert equal(run[number], next(stream().batches(6 * number)))


def test_each_bucket_is_gone_through_epoch_by_epoch(varied: PictureReader):
    stream = Stream(varied, batch=4, seed=0, data=DataConfig(buckets=3))
    seen: dict[int, list[int]] = {}
    uids = {uid: row for row, uid in enumerate(varied.index.uids)}
    for images in range(0, 400, 4):
        batch = stream.at(images)
        rows = [uids[uid] for uid in batch.uids]
        buckets = set(varied.buckets[rows].tolist())
        assert len(buckets) == 1
        assert batch.images.shape[2:] == varied.shapes[min(buckets)]
        seen.setdefault(min(buckets), []).extend(rows)
    gone = stream.epochs(400)
    for bucket, rows in seen.items():
        members = np.flatnonzero(varied.buckets == bucket).tolist()
        assert gone[bucket] == pytest.approx(len(rows) / len(members))
        for first in range(0, len(rows) - len(members) + 1, len(members)):
            assert sorted(rows[first : first + len(members)]) == members
        assert 5 < gone[bucket] < 8  # all about as far


def test_a_picture_moves_with_its_labels_alone(varied: PictureReader):
    data = DataConfig(augment=0.3, buckets=3)
    moved = Stream(varied, batch=32, seed=0, data=data).at(0)
    plain = Stream(varied, batch=32, seed=0, data=DataConfig(buckets=3)).at(0)
    assert moved.augmented is not None
    assert plain.augmented is None
    same = [torch.equal(a, b) for a, b in zip(moved.images, plain.images, strict=True)]
    assert same == (~moved.augmented.any(1)).tolist()
    assert 0 < sum(same) < 20


def test_colours_change_where_no_caption_names_one(varied: PictureReader):
    recoloured = Stream(varied, batch=32, seed=0, data=DataConfig(colour=0.5, buckets=3)).at(0)
    plain = Stream(varied, batch=32, seed=0, data=DataConfig(buckets=3)).at(0)
    assert {"a half", "a red half on the left"} <= {caption.lower() for caption in plain.captions}
    for caption, one, other in zip(plain.captions, recoloured.images, plain.images, strict=True):
        assert torch.equal(one, other) != (caption == "a half")


def test_weights_say_how_often_a_picture_is_seen(varied: PictureReader):
    data = DataConfig(buckets=3, copies=1)
    stream = Stream(varied, batch=10, seed=0, data=data)
    uids = [uid for images in range(0, 4000, 10) for uid in stream.at(images).uids]
    counts = np.array([uids.count(uid) for uid in varied.index.uids])
    expected = varied.index.multiplicity / varied.index.multiplicity.sum() * 4000
    assert np.abs(counts / expected - 1).max() < 0.15


def test_another_batch_goes_on_at_the_same_place_of_the_order(pictures: PictureReader, varied: PictureReader):
    """Images that no batch divides, since a training went on with another one."""
    whole = Stream(pictures, batch=8, seed=3)
    expected = [uid for images in range(0, 96, 8) for uid in whole.uids(images)]
    other = Stream(pictures, batch=12, seed=3)
    assert [uid for images in (40, 52, 64) for uid in other.at(images).uids] == expected[40:76]
    # Of several buckets a batch is whole, and begins where it would have.
    several = Stream(varied, batch=12, seed=0, data=DataConfig(buckets=3))
    assert several.at(40).uids == several.at(36).uids
    assert several.at(40).index.tolist() == list(range(40, 52))
