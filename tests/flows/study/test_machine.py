"""How many trainings go side by side."""

import pytest

from flows.study import machine
from sdmodel.config.train import TrainConfig

SMALL = TrainConfig(device="cpu", processes=1, threads=1)


@pytest.fixture
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 16)
    memory = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 16 * 2**18}
    monkeypatch.setattr("os.sysconf", memory.__getitem__)


@pytest.mark.parametrize(("threads", "expected"), [(1, 8), (2, 4), (16, 1), (32, 1)])  # of 16 GiB, 2 a core
@pytest.mark.usefixtures("sixteen_cores")
def test_as_many_as_cores_and_memory_allow_for_the_largest(threads: int, expected: int):
    assert machine.lanes([SMALL, TrainConfig(device="cpu", processes=1, threads=threads)]) == expected


@pytest.mark.parametrize(
    "alone", [TrainConfig(processes=1, threads=1), TrainConfig(device="cpu"), TrainConfig(device="cuda")]
)
@pytest.mark.usefixtures("sixteen_cores")
def test_what_takes_the_machine_has_it_for_itself(alone: TrainConfig):
    assert machine.lanes([SMALL, alone]) == 1


def test_the_machine_in_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "cores", lambda: 6)
    assert machine.machine().startswith("6 cores of ")
    assert len(machine.machine()) > len("6 cores of ")
