import threading

import pytest
import torch

from sdmodel.device import use_device


@pytest.mark.parametrize(
    ("name", "available", "device"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_auto_is_cuda_where_there_is_any(
    monkeypatch: pytest.MonkeyPatch, name: str, available: bool, device: str
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert use_device(name) == device


def test_what_is_unknown_or_not_there_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match='device="cuda": no CUDA device is found'):
        use_device("cuda")
    with pytest.raises(ValueError, match="device='tpu'"):
        use_device("tpu")


def test_numbers_too_near_to_zero_are_flushed_on_a_cpu():
    """In a thread of the test's own, as the setting is a thread's."""
    products: list[list[bool]] = []

    def multiply() -> None:
        torch.set_flush_denormal(False)
        small = torch.full((4,), 1e-39)
        products.append((small * 0.5 > 0).tolist())
        use_device("cpu")
        products.append((small * 0.5 > 0).tolist())

    thread = threading.Thread(target=multiply)
    thread.start()
    thread.join()
    assert products == [[True] * 4, [False] * 4]
