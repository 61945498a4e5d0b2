"""The network of LPIPS, from local weights: VGG16's features, and a weight for each channel of five of its
maps (Zhang et al. 2018, arXiv:1801.03924).

Names are those of torchvision's vgg16 and of the authors' package, all in one safetensors file or in several
of one folder: "features.0.weight" to "features.28.bias", "lin0.model.1.weight" to "lin4.model.1.weight".
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Numbers of the convolutions of each block in torchvision's vgg16; pictures are halved between blocks."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of red, green and blue in [-1, 1], as VGG16 was taught to see them."""


class LpipsNetwork(nn.Module):
    """Frozen VGG16 up to its fifth block."""

    def __init__(self, weights: dict[str, Tensor]):
        """weights: by the names above. KeyError: one of them is missing."""
        super().__init__()
        for number in (number for block in BLOCKS for number in block):
            kernel, bias = weights[f"features.{number}.weight"], weights[f"features.{number}.bias"]
            layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
            layer.load_state_dict({"weight": kernel.float(), "bias": bias.float()})
            self.add_module(f"conv{number}", layer)
        self.channel_weights = [
            weights[f"lin{number}.model.1.weight"].float().flatten() for number in range(len(BLOCKS))
        ]
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def maps(self, images: Tensor) -> list[Tensor]:
        """The last map of each block, (B, C_i, h_i, w_i) float32, of pictures (B, 3, H, W) float32 in [-1, 1]
        of 16 pixels to a side and more."""
        x = (images - self.get_buffer("shift")) / self.get_buffer("scale")
        maps: list[Tensor] = []
        for number, block in enumerate(BLOCKS):
            x = F.max_pool2d(x, 2) if number else x
            for layer in block:
                x = F.relu(self.get_submodule(f"conv{layer}")(x))
            maps.append(x)
        return maps


def load(path: Path) -> LpipsNetwork:
    """The network of a safetensors file, or of a folder of such. ValueError: it holds no such weights."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    weights: dict[str, Tensor] = {}
    try:
        for file in files:
            weights |= load_file(file)
        return LpipsNetwork(weights)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"{path}: holds no weights of LPIPS as safetensors, features.N.weight of VGG16 and "
            f"linN.model.1.weight: {error}"
        ) from error
