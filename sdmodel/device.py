"""The device that a config's word means."""

import torch


def use_device(name: str) -> str:
    """ "cpu" or "cuda" for "cpu", "cuda" or "auto", which is CUDA where there is any.

    On a CPU numbers nearer to 0 than 1.2e-38 count as 0 from then on, in this thread and those that it
    starts: a trained network makes such numbers (SiLU of -90 is one), and processors take many times as long
    for them. A training's step at 64 pixels took 2.0 s of a processor after 340,000 images, .55 s with fresh
    weights, and .59 s after as many with these numbers flushed.

    Raises:
        ValueError: the word is unknown, or there is no CUDA device.
    """
    available = torch.cuda.is_available()
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f'device={name!r}: "cpu", "cuda" or "auto" are known')
    if name == "cuda" and not available:
        raise ValueError('device="cuda": no CUDA device is found; device="auto" takes the CPU then')
    if available and name != "cpu":
        return "cuda"
    torch.set_flush_denormal(True)  # processors that cannot say so by its result, and are none the worse
    return "cpu"
