"""Whatever happens to a training, when it is done it is what it would have been."""

import os
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from sdmodel.data.index import read_index
from sdmodel.data.stream import Stream
from sdmodel.train import checkpoint
from sdmodel.train.loop import train
from sdmodel.train.step import seed_at
from tests.sdmodel.decoding import decode_all
from tests.sdmodel.train.toy import CONFIG, KilledError, ToyObjective, tree

Life = Callable[..., dict[str, Tensor] | None]


@pytest.fixture(scope="module")
def life(dataset) -> Life:
    """One life of a training in a folder."""
    torch.set_num_threads(1)
    pictures = decode_all(read_index(dataset.index, dataset.tars, "train"), 8)
    accelerator = Accelerator(cpu=True)

    def live(folder: Path, stopping: Callable[[], bool] = lambda: False) -> dict[str, Tensor] | None:
        folder.mkdir(exist_ok=True)
        torch.manual_seed(CONFIG.seed)
        stream = Stream(pictures, batch=CONFIG.batch, seed=CONFIG.seed)
        return train(
            ToyObjective(), stream, CONFIG, accelerator, folder, lambda message: None, stopping=stopping
        )

    return live


@pytest.fixture(scope="module")
def whole(life: Life, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert life(folder)
    return folder


def same(one: Path, other: Path) -> bool:
    """Their metrics and last checkpoints: weights, averages, momenta, sums."""
    last = "checkpoints/000000200"
    return tree(one / last) == tree(other / last) and (
        (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    )


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ends=st.lists(st.tuples(st.integers(0, 25), st.booleans()), min_size=1, max_size=2))
def test_killed_and_stopped_anywhere_it_ends_the_same(
    life: Life, whole: Path, tmp_path_factory: pytest.TempPathFactory, ends: list[tuple[int, bool]]
):
    folder = tmp_path_factory.mktemp("ended")
    for batches, killed in ends:
        calls = count()

        def stopping(batches: int = batches, killed: bool = killed, calls: Any = calls) -> bool:
            asked = next(calls) == batches
            if asked and killed:
                raise KilledError
            return asked

        try:
            life(folder, stopping)
        except KilledError:
            continue
    assert life(folder)
    assert same(whole, folder)


@pytest.mark.parametrize("moment", range(20))
def test_killed_in_the_middle_of_a_save(
    life: Life, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
):
    """SIGKILL before the `moment`-th thing that saving does to the disk."""
    done = count()

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def act(*args: Any) -> Any:
            if next(done) == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args)

        return act

    child = os.fork()
    if child == 0:
        for name in ("_save", "_sha256", "_fsync"):
            setattr(checkpoint, name, deadly(getattr(checkpoint, name)))
        Path.rename = deadly(Path.rename)  # type: ignore[method-assign]
        life(tmp_path)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert life(tmp_path)
    assert same(whole, tmp_path)


def test_seeds_differ_in_every_part():
    seeds = {seed_at(seed, images, stream) for seed in (0, 1) for images in (0, 64) for stream in ("a", "b")}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
