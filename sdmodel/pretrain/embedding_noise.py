"""Noise on embeddings, which predictions are to be robust to (adversarial and consistency training).

The embeddings of the words themselves are moved and not the words, as in virtual adversarial training of
texts (Miyato et al. 2016, arXiv:1605.07725), though at random; that the predictions shall stay what they were
is the consistency loss of Xie et al. 2019 (arXiv:1904.12848, equation 1).
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from sdmodel.data.batch import Batch


@contextmanager
def embedding_noise(embedding: nn.Module, noise: float, batch: Batch) -> Generator[None]:
    """Inside, what `embedding` makes of the batch's captions (B, L, W) has normal noise on it.

    noise: its deviation, in units of each token's own root mean square."""

    def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        size = output.detach().float().square().mean(-1, keepdim=True).sqrt()  # (B, L, 1)
        return output + (noise * size * batch.normal("embedding", *output.shape[1:])).to(output.dtype)

    handle = embedding.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
