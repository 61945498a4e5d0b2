"""Rows of results: what each case's figures stand for, and what is asked of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks import schema
from benchmarks.schema import Row, not_measured, row

RESULT = schema.RESULTS / "gpu.json"
BOUND = "the bound that is set for it"


LIMITS = {
    "pinned": 60.0,
    "waiting": 60.0,
    "dit_xl": 150.0,
    "dit_b": 150.0,
    "unet": 120.0,
    "bf16": 60.0,
    "nccl": 60.0,
    "sharding": 60.0,
}
"""Cases in the order in which they run, and the seconds that each may take."""


@dataclass(frozen=True)
class Expected:
    """A row, before it is measured."""

    case: str
    figure: str
    """Of the case."""
    name: str
    unit: str
    bound: float
    goal: float = 1.0


EXPECTED = (
    Expected(
        "dit_xl", "mfu", "MFU of DiT-XL/2, latents of 256 pixels, bf16, compiled, an H200", "MFU, %", 40
    ),
    Expected("dit_b", "mfu", "MFU of DiT-B/2, latents of 256 pixels, bf16, compiled, an H200", "MFU, %", 30),
    Expected(
        "unet",
        "mfu",
        "MFU of Stable Diffusion 1.5's UNet, latents of 256 pixels, bf16, an H200",
        "MFU, %",
        25,
    ),
    Expected("dit_b", "gain", "speed of DiT-B/2 compiled, over not compiled", "of 1", 1),
    Expected("dit_xl", "memory", "memory of DiT-XL/2, over what sdflow plan reckons", "%", 100, 0.9),
    Expected("dit_b", "memory", "memory of DiT-B/2, over what sdflow plan reckons", "%", 100, 0.9),
    Expected(
        "unet",
        "memory",
        "memory of Stable Diffusion 1.5's UNet, over what sdflow plan reckons",
        "%",
        100,
        0.9,
    ),
    Expected("pinned", "tensors", "tensors of a batch that come unchanged from pinned memory", "of 4", 4),
    Expected("waiting", "steps", "steps of the loop in which the host never waits for the GPU", "of 8", 8),
    Expected("bf16", "off", "losses of 9 steps in bf16 off from float32, at most", "%", 2),
    Expected(
        "nccl", "off", "losses of 9 steps through NCCL, one process, off from plain ones, at most", "%", 0.5
    ),
    Expected(
        "sharding", "off", "losses of 9 steps with weights in shards, one process, off, at most", "%", 0.5
    ),
)


def absent() -> list[Row]:
    """All rows, where there is no GPU."""
    return [_absent(each) for each in EXPECTED]


def rows(figures: Mapping[str, Mapping[str, float]], device: str) -> list[Row]:
    """What the cases found on a GPU of that name; of those that failed, rows that are not measured."""
    return [
        _row(each, figures[each.case], device) if each.case in figures else _absent(each) for each in EXPECTED
    ]


def _row(expected: Expected, figures: Mapping[str, float], device: str) -> Row:
    unit = expected.unit
    if expected.figure == "mfu":
        unit += f"; {figures['speed']:,.1f} images/s"
    found = row(expected.name, unit, figures[expected.figure], expected.bound, BOUND, expected.goal)
    return replace(found, machine=f"{device}, {found.machine}")


def _absent(expected: Expected) -> Row:
    return not_measured(expected.name, expected.unit, expected.bound, BOUND, expected.goal)
