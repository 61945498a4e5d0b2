"""How many trainings go side by side."""

import pytest

from flows.compare import machine


@pytest.mark.parametrize(("cores", "gib", "expected"), [(2, 16, 2), (16, 16, 8), (16, 64, 16), (4, 1, 1)])
def test_one_a_core_as_far_as_memory_goes(
    cores: int, gib: int, expected: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine, "cores", lambda: cores)
    told = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": gib * 2**18}
    monkeypatch.setattr("os.sysconf", told.__getitem__)
    assert machine.lanes() == expected


def test_the_machine_in_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "cores", lambda: 6)
    assert machine.machine().startswith("6 cores of ")
    assert len(machine.machine()) > len("6 cores of ")
