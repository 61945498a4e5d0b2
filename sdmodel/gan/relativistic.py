"""The relativistic loss: a real picture is to look more real than a generated one, and the other way round
(Jolicoeur-Martineau 2018, arXiv:1807.00734, equations 7 and 8). With both penalties, on real and on
generated pictures, it converges where the others lose modes (Huang et al. 2025, arXiv:2501.05441, section 2).
"""

from torch import Tensor
from torch.nn import functional as F


def relativistic(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's (), E[-log s(D(x) - D(G(z)))], s the logistic function; with real and generated
    pictures exchanged it is the generator's. Logits (B,) float32, a pair in each row."""
    return F.softplus(fake - real).mean()


def pairs_right(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Share () in [0, 1] of pairs of logits in which the real picture looks more real: "real_over_fake"; half
    of them is a guess. (B,) and (B,): a pair in each row; (R, 1) and (F,): each real picture beside each
    generated one."""
    return {"real_over_fake": (real > fake).float().mean()}
