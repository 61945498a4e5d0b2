"""Which weights are hidden matrices, and which weights hold several matrices. Modules say both themselves.

A module that is made of layers may have two attributes:

    adamw_layers    tuple of names of layers below it that are not hidden: the first layers on pixels,
                    latents, times or states of captions, the last layers (of pixels, classes, tokens,
                    embeddings), and modulation, the layers that make scales, shifts and gates of a condition.
                    AdamW learns them where Muon learns the hidden ones (Jordan et al. 2024,
                    https://kellerjordan.github.io/posts/muon).
    fused_layers    dict of names of layers below it whose weight is several matrices, as keys and values are,
                    to (groups, matrices): rows lie as (groups, matrices, rows of a matrix in a group).
                    (1, 3) is q, k and v below each other, (heads, 2) keys and values head by head.

Names are relative to the module; `*` stands for anything, dots too, as in "unet.*.time_emb_proj". All other
linear layers and convolutions that mix channels are hidden matrices.
"""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from torch import Tensor, nn

Role = Literal["hidden", "matrix", "vector"]
"""A hidden matrix, one that is not hidden, or anything else: a bias, gain, table or depthwise kernel."""
LORA = ".lora_"
"""In the names of low-rank changes, which peft gives them: they are matrices, and none is hidden."""
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
QKV = (1, 3)
"""How rows lie in `in_proj_weight` of torch's attention."""


@dataclass(frozen=True)
class Layout:
    """How the matrices of a weight lie in it; see `fused_layers`."""

    groups: int = 1
    matrices: int = 1
    transposed: bool = False
    """Of a transposed convolution, whose weight begins with the channels that go in."""

    def split(self, weight: Tensor) -> Tensor:
        """The matrices (K, m, n) of a weight (rows, ...): m numbers come out of each, n go in. A convolution
        is the matrix (out, in * k * k), a transposed one (out * k * k, in)."""
        flat = weight.flatten(1)
        if self.transposed:
            return flat.mT[None]
        parts = flat.unflatten(0, (self.groups, self.matrices, -1))  # (G, K, m / G, n)
        return parts.transpose(0, 1).flatten(1, 2)

    def join(self, matrices: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The weight of that shape whose matrices (K, m, n) these are."""
        if self.transposed:
            return matrices[0].mT.reshape(shape)
        parts = matrices.unflatten(1, (self.groups, -1))  # (K, G, m / G, n)
        return parts.transpose(0, 1).reshape(shape)

    def shape(self, weight: Tensor) -> tuple[int, int]:
        """(m, n) of each matrix."""
        rows, columns = len(weight), weight.numel() // len(weight)
        return (columns, rows) if self.transposed else (rows // self.matrices, columns)


PLAIN = Layout()
"""One matrix."""


@dataclass(frozen=True)
class Weight:
    """A parameter, and what it is."""

    name: str
    parameter: nn.Parameter
    role: Role
    layout: Layout
    channels: int
    """That a matrix sums over, for each place of its kernel; 0 of a vector."""


def weights(modules: nn.Module) -> Iterator[Weight]:
    """All parameters of `modules`, each once, a shared one by its first name."""
    adamw, fused = _declared(modules)
    seen: set[nn.Parameter] = set()
    for path, module in modules.named_modules():
        for name, parameter in module.named_parameters(path, recurse=False):
            if parameter in seen:
                continue
            seen.add(parameter)
            if not _is_matrix(module, name, parameter):
                yield Weight(name, parameter, "vector", PLAIN, 0)
                continue
            outer = LORA in name or any(fnmatchcase(name, pattern) for pattern in adamw)
            groups, matrices = next((at for pattern, at in fused if fnmatchcase(name, pattern)), (1, 1))
            if isinstance(module, nn.MultiheadAttention) and name.endswith("in_proj_weight"):
                groups, matrices = QKV
            transposed = isinstance(module, TRANSPOSED)
            yield Weight(
                name,
                parameter,
                "matrix" if outer else "hidden",
                Layout(groups, matrices, transposed),
                parameter.shape[0 if transposed else 1],
            )


def _declared(modules: nn.Module) -> tuple[list[str], list[tuple[str, tuple[int, int]]]]:
    """Patterns of names of parameters: of `adamw_layers`, and of `fused_layers` with what these say."""
    adamw: list[str] = []
    fused: list[tuple[str, tuple[int, int]]] = []
    for path, module in modules.named_modules():
        declared: Any = module
        inside = f"{glob.escape(path)}." if path else ""
        adamw += [f"{inside}{name}.*" for name in getattr(declared, "adamw_layers", ())]
        fused += [(f"{inside}{name}.*", at) for name, at in getattr(declared, "fused_layers", {}).items()]
    return adamw, fused


def _is_matrix(module: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter of `module` mixes channels: no table (embedding, positions, queries), and no
    depthwise convolution."""
    if parameter.ndim < 2 or not name.endswith("weight") or isinstance(module, nn.Embedding):
        return False
    return not (isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)) and module.groups > 1)
