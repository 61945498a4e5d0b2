import pytest
import torch

from sdmodel.device import flushed_denormals, resolve_device


@pytest.mark.parametrize(
    ("name", "available", "device"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_auto_is_cuda_where_there_is_any(
    monkeypatch: pytest.MonkeyPatch, name: str, available: bool, device: str
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device(name) == device


def test_what_is_unknown_or_not_there_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match='device="cuda": no CUDA device is found'):
        resolve_device("cuda")
    with pytest.raises(ValueError, match="device='tpu'"):
        resolve_device("tpu")


def test_numbers_too_near_to_zero_are_flushed_inside_and_not_afterwards():
    with flushed_denormals():
        with flushed_denormals():
            assert product_of_small_numbers() == 0
        assert product_of_small_numbers() == 0
    assert product_of_small_numbers() > 0


@flushed_denormals()
def product_of_small_numbers_inside() -> float:
    return product_of_small_numbers()


def test_a_function_is_flushed_each_time_that_it_is_called():
    assert [product_of_small_numbers_inside(), product_of_small_numbers_inside()] == [0, 0]
    assert product_of_small_numbers() > 0


def product_of_small_numbers() -> float:
    """About 2e-39."""
    return (torch.tensor(2e-38) * 0.1).item()
