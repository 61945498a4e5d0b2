"""bf16 on processors, where oneDNN cannot be trusted with it."""

import torch


def leave_onednn() -> None:
    """Takes oneDNN out of a process that is to compute in bf16 on a processor, whatever that one knows.

    Its convolutions give gradients that are NaN, infinite or too large by factors of 1e3 to 1e15, about every
    second time, from the same numbers: with AVX-512's bf16 instructions and with AMX (torch 2.15, a ResNet in
    training). Without oneDNN they are right, and slower; float32 is quicker on most processors anyway."""
    torch.backends.mkldnn.set_flags(False)
