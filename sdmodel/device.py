"""The device that a config's word means, and how a CPU shall reckon."""

from collections.abc import Generator
from contextlib import contextmanager

import torch


def resolve_device(name: str) -> str:
    """ "cpu" or "cuda" for "cpu", "cuda" or "auto", which is CUDA where there is any.

    Raises:
        ValueError: the word is unknown, or there is no CUDA device.
    """
    available = torch.cuda.is_available()
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f'device={name!r}: "cpu", "cuda" or "auto" are known')
    if name == "cuda" and not available:
        raise ValueError('device="cuda": no CUDA device is found; device="auto" takes the CPU then')
    return "cuda" if available and name != "cpu" else "cpu"


@contextmanager
def flushed_denormals() -> Generator[None]:
    """Inside, and around a function that it decorates, numbers nearer to 0 than 1.2e-38 count as 0, in this
    thread and in those that it starts there; afterwards as before.

    A trained network makes such numbers (SiLU of -90 is one), and processors take many times as long for
    them: a training's step at 64 pixels took 2.0 s after 340,000 images, .54 s with fresh weights, and .59 s
    after as many images with this. Nothing happens on processors that cannot, and on GPUs. It is no setting
    of a whole process, as other libraries in it may count on these numbers.
    """
    before = _flushes()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushes() -> bool:
    """Whether they count as 0 now."""
    return (torch.tensor(2e-38) * 0.1).item() == 0
