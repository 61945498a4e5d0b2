"""Random numbers by counter: Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
3").

A number is a function of (seed, row, stream, place) and of nothing else. So each process draws those of its
own rows, in any parts, on any device, and nobody's depend on who else draws.
"""

import math
import zlib

import torch
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
"""What the key grows by from round to round."""
LOW = 0xFFFFFFFF

FourWords = tuple[Tensor, Tensor, Tensor, Tensor]
"""Words of 32 bits in int64 tensors, which hold them without a sign."""


def philox(counter: FourWords, key: tuple[int, int]) -> FourWords:
    """Four random words for each counter, whose words broadcast to one shape, under a key of two words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        first, second = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]  # modulo 2^64
        # Whole products go on as c1 and c3: what is above their low word is masked with what they change.
        c0 = ((second >> 32) ^ c1).bitwise_xor_(k0).bitwise_and_(LOW)
        c2 = ((first >> 32) ^ c3).bitwise_xor_(k1).bitwise_and_(LOW)
        c1, c3 = second, first
        k0, k1 = (k0 + WEYL[0]) & LOW, (k1 + WEYL[1]) & LOW
    return c0, c1 & LOW, c2, c3 & LOW


def words(seed: int, rows: Tensor, stream: str, count: int) -> FourWords:
    """(B, ceil(count / 4)) int64 each on the rows' device, random words of 32 bits: of a row's words the
    first is the first's first, the second the second's first, the fifth the first's second.

    seed: below 2^63. rows: (B,) int64, not negative, who they are drawn for. stream: what for; the draws of
    each name are its own."""
    blocks = torch.arange(-(-count // 4), device=rows.device)[None]  # (1, K)
    name = torch.full((1, 1), _word(stream), device=rows.device)
    low, high = (rows & LOW)[:, None], (rows >> 32)[:, None]  # (B, 1)
    return philox((blocks, name, low, high), (seed & LOW, seed >> 32))


@torch.compiler.assume_constant_result
def _word(stream: str) -> int:
    return zlib.crc32(stream.encode())


def uniform(seed: int, rows: Tensor, stream: str, *shape: int) -> Tensor:
    """(B, *shape) float32 uniform on [0, 1), in steps of 2^-24; arguments as of `words`."""
    four = words(seed, rows, stream, count := math.prod(shape))
    return _rows([(word >> 8).float().mul_(2.0**-24) for word in four], count).view(len(rows), *shape)


def normal(seed: int, rows: Tensor, stream: str, *shape: int) -> Tensor:
    """(B, *shape) float32 standard normal, within 6.7; arguments as of `words`.

    Two of each pair of words (Box and Muller 1958)."""
    u, v, *others = words(seed, rows, stream, count := math.prod(shape))
    return _rows([*_pair(u, v), *_pair(*others)], count).view(len(rows), *shape)


def _pair(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Two standard normal numbers of two words."""
    radius = (u + 1).float().mul_(2.0**-32).log_().mul_(-2).sqrt_()
    angle = v.float().mul_(2.0**-31 * math.pi)
    return radius * angle.cos(), radius.mul_(angle.sin_())


def _rows(four: list[Tensor], count: int) -> Tensor:
    """(B, count): four times (B, K), one after the other in each row."""
    return torch.stack(four, -1).flatten(1)[:, :count]
