"""What is drawn for a batch's rows."""

import itertools

import pytest
import torch

from sdmodel.data.batch import Batch


def batch(start: int, rows: int, size: int, images_seen: int = 0, seed: int = 3) -> Batch:
    names = [str(start + row) for row in range(rows)]
    return Batch(
        images=torch.zeros(rows, 3, 2, 2),
        captions=names,
        uids=names,
        index=images_seen + torch.arange(start, start + rows),
        size=size,
        start=start,
        seed=seed,
        images_seen=images_seen,
    )


@pytest.mark.parametrize("images_seen", [0, 24, 2**33])
def test_processes_and_parts_draw_what_one_draws(images_seen: int):
    def draws(rows: Batch) -> list[torch.Tensor]:
        return [rows.normal("noise", 3, 5), rows.uniform("caption dropout"), rows.stratified("times")]

    whole = draws(batch(0, 24, 24, images_seen))
    for world, parts in itertools.product((1, 2, 4), (1, 3)):
        share = 24 // world
        shares = [batch(rank * share, share, 24, images_seen) for rank in range(world)]
        each = [draws(own.micro_batch(number, parts)) for own in shares for number in range(parts)]
        for expected, cut in zip(whole, zip(*each, strict=True), strict=True):
            assert torch.equal(expected, torch.cat(cut))


@pytest.mark.parametrize("size", [1, 7, 256, 4096])
def test_strata_hold_one_each(size: int):
    u = batch(0, size, size).stratified("times")
    assert sorted((u.double() * size).long().tolist()) == list(range(size))
    assert 0 <= u.min() <= u.max() < 1
    within = u.double() * size % 1
    assert size < 100 or abs(within.mean() - 0.5) < 4 / (12 * size) ** 0.5


def test_strata_are_shuffled_anew_for_each_batch_seed_and_stream():
    def order(rows: Batch, stream: str = "times") -> torch.Tensor:
        return (rows.stratified(stream) * 64).long()

    first = order(batch(0, 64, 64))
    others = [order(batch(0, 64, 64, 64)), order(batch(0, 64, 64, seed=4)), order(batch(0, 64, 64), "others")]
    assert all((first == other).float().mean() < 0.2 for other in (torch.arange(64), *others))


def test_the_last_stratum_ends_below_one(monkeypatch: pytest.MonkeyPatch):
    """In float32 the sum of a large stratum and a number just below 1 is the next stratum."""
    rows = batch(0, 4096, 4096)
    monkeypatch.setattr(Batch, "uniform", lambda self, stream: torch.full((4096,), 1 - 2.0**-24))
    assert rows.stratified("times").max() < 1
