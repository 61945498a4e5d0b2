"""What a measurement of a training comes to. No torch is imported."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Size, memory and speed of a training, measured for some seconds."""

    parameters: Mapping[str, int]
    """By part of the model."""
    learned: int
    """Parameters that change."""
    flops: float
    """Floating-point operations to learn from an image, forward and backward, without the optimizer's."""
    images_per_second: float
    """Of all processes."""
    mfu: float | None
    """Model FLOPs utilisation, the share of what the devices could compute, [0, 1]; None: not known."""
    waiting: float
    """Share of the time that was spent waiting for data, [0, 1]."""
    memory: float
    """Bytes that a process took at its worst moment: of the GPU, or of the machine where it has none."""
    state: int
    """Bytes, at most, of weights, gradients, momenta and averages, in each process."""
    processes: int
    device: str
    """Where it was measured, for people."""
    seconds: float
    """Measured."""
    start_up_seconds: float = 0.0
    """Until the processes had started and the first batches were learned."""
