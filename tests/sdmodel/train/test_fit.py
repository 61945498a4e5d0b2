import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from sdmodel.data.batch import Batch
from sdmodel.train.fit import fewest_parts
from tests.sdmodel.train.toy import Toy, ToyObjective


class Hungry(Toy):
    """Needs memory for `most` rows, at most."""

    most = 3

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        losses = super().forward(batch, generator)
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
