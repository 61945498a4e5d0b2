import pytest
import torch

from sdmodel.device import resolve_device


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
