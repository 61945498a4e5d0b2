"""bf16 on processors, where oneDNN cannot be trusted with it."""

import torch


def trust_bf16() -> None:
    """Takes oneDNN out of a process that is to compute in bf16 on a processor without AMX.

    With AVX-512's bf16 its convolutions give gradients that are NaN, infinite or of the order of 1e15, about
    every second time, from the same numbers (torch 2.15, oneDNN's own kernels, a ResNet in training). Without
    oneDNN they are right, and slower; in float32 it is quicker on such processors anyway."""
    if not torch.cpu._is_amx_tile_supported():  # pyright: ignore - torch has no public word for it
        torch.backends.mkldnn.set_flags(False)
