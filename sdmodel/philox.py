"""Random numbers by counter: Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
3").

A number is a function of (seed, row, stream, place) and of nothing else. So each process draws those of its
own rows, in any parts, on any device, and nobody's depend on who else draws.
"""

import zlib

import torch
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
"""What the key grows by from round to round."""
LOW = 0xFFFFFFFF


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> Tensor:
    """(..., 4) int64, each a random word of 32 bits, of counters whose four words are int64 tensors that
    broadcast to (...), under a key of two words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        first, second = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]  # modulo 2^64
        c0, c1, c2, c3 = (
            (second >> 32 & LOW) ^ c1 ^ k0,
            second & LOW,
            (first >> 32 & LOW) ^ c3 ^ k1,
            first & LOW,
        )
        k0, k1 = (k0 + WEYL[0]) & LOW, (k1 + WEYL[1]) & LOW
    return torch.stack(torch.broadcast_tensors(c0, c1, c2, c3), -1)


def words(seed: int, rows: Tensor, stream: str, count: int) -> Tensor:
    """(B, count) int64 on the rows' device, each a random word of 32 bits.

    seed: below 2^63. rows: (B,) int64, not negative, who they are drawn for. stream: what for; the draws of
    each name are its own."""
    blocks = torch.arange(-(-count // 4), device=rows.device)[None]  # (1, K)
    name = torch.full((1, 1), zlib.crc32(stream.encode()), device=rows.device)
    low, high = (rows & LOW)[:, None], (rows >> 32)[:, None]  # (B, 1)
    return philox((blocks, name, low, high), (seed & LOW, seed >> 32)).flatten(1)[:, :count]


def uniform(seed: int, rows: Tensor, stream: str, *shape: int) -> Tensor:
    """(B, *shape) float32 uniform on [0, 1), in steps of 2^-24; arguments as of `words`."""
    count = torch.Size(shape).numel()
    return ((words(seed, rows, stream, count) >> 8).float() * 2.0**-24).view(len(rows), *shape)


def normal(seed: int, rows: Tensor, stream: str, *shape: int) -> Tensor:
    """(B, *shape) float32 standard normal, within 6.7; arguments as of `words`.

    Two of each pair of words (Box and Muller 1958)."""
    count = torch.Size(shape).numel()
    u, v = words(seed, rows, stream, count + count % 2).unflatten(1, (-1, 2)).unbind(-1)
    radius = ((u + 1).float() * 2.0**-32).log().mul(-2).sqrt()
    angle = v.float() * (2.0**-31 * torch.pi)
    pairs = torch.stack([radius * angle.cos(), radius * angle.sin()], -1).flatten(1)
    return pairs[:, :count].view(len(rows), *shape)
