"""The device that a config's word means."""

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
