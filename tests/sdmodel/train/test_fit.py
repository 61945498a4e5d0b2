from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from sdmodel.config.learning import DataConfig
from sdmodel.data.batch import Batch
from sdmodel.data.index import read_index
from sdmodel.data.stream import Stream
from sdmodel.train.fit import fewest_parts, largest
from tests.sdmodel.decoding import decode_all
from tests.sdmodel.train.toy import Toy, ToyObjective


class Hungry(Toy):
    """Needs memory for `most` rows, at most."""

    most = 3

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        losses = super().forward(batch)
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        return losses


def batch(rows: int) -> Batch:
    words = ["a red square"] * rows
    return Batch(
        images=torch.randn(rows, 3, 8, 8),
        captions=words,
        uids=words,
        index=torch.arange(rows),
        size=rows,
        start=0,
    )


@pytest.mark.parametrize(("rows", "parts"), [(3, 1), (4, 2), (8, 4), (9, 3), (7, 7)])
def test_the_fewest_parts_that_fit(rows: int, parts: int):
    modules = Hungry()
    before = {name: value.clone() for name, value in modules.state_dict().items()}
    rows_at_hand = batch(rows)
    draws = torch.get_rng_state()
    assert fewest_parts(ToyObjective(modules), rows_at_hand, Accelerator(cpu=True)) == parts
    assert all(torch.equal(value, before[name]) for name, value in modules.state_dict().items())
    assert torch.equal(draws, torch.get_rng_state())
    assert all(p.grad is None for p in modules.parameters())


def test_what_does_not_fit_at_all_or_cannot_be_parted():
    modules = Hungry()
    with pytest.raises(torch.OutOfMemoryError):
        fewest_parts(ToyObjective(modules, whole_batch=True), batch(8), Accelerator(cpu=True))
    modules.most = 0
    with pytest.raises(torch.OutOfMemoryError):
        fewest_parts(ToyObjective(modules), batch(2), Accelerator(cpu=True))


def test_what_must_fit_is_the_largest_bucket(dataset):
    index = read_index(dataset.index, dataset.tars, "train")
    sizes = np.where(np.arange(len(index))[:, None] % 7, [100, 100], [140, 100])
    data = DataConfig(buckets=3, max_aspect=1.5)
    reader = decode_all(replace(index, sizes=sizes), 64, data)
    stream = Stream(reader, batch=4, seed=0, data=data)
    assert {stream.at(images).images.shape[2:] for images in range(0, 60, 4)} == {(64, 48), (64, 64)}
    for images in range(0, 60, 4):
        tried, batch = largest(stream, images), stream.at(images)
        assert tried.images.shape == (4, 3, 64, 64)
        assert tried.uids == batch.uids
