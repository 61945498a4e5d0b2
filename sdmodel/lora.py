"""Low-rank adaptation of a frozen model (LoRA; Hu et al. 2021, arXiv:2106.09685): injected, merged, or apart.

The weight W (m, n, ...) of a layer becomes W + alpha / rank * B A, where A (rank, n, ...) is drawn and B
(m, rank) is zero at first. peft computes that in training. It takes seconds to import, so that who only reads
what was learned does without it: adapter/ has peft's layout, and the formula above is all that it means.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdmodel.config.learning import LoraConfig

ADAPTER = "adapter"
"""Folder of changes that are kept apart, in a model folder."""
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."
"""Of all names in peft's files."""
NAME = "default"
"""peft's name for its only set of changes."""
POOL = "AttentionPool2d"
"""Of open_clip: reads its layers' weights and calls none of them."""
UNREAD = ("use_dora", "use_rslora", "fan_in_fan_out", "lora_bias", "rank_pattern", "alpha_pattern")
"""Choices of peft that mean more than the formula; none is made here."""


@dataclass(frozen=True)
class LowRankUpdate:
    """Of one layer's weight."""

    a: Tensor
    """(rank, n, ...) float32."""
    b: Tensor
    """(m, rank) float32, or (m, rank, 1, 1) of a convolution."""
    scale: float
    """alpha / rank."""

    def added(self, weight: Tensor) -> Tensor:
        """W + scale * B A, for W (m, n, ...) on the device of A and B."""
        return weight + self.scale * (self.b.flatten(1) @ self.a.flatten(1)).view(weight.shape)


def inject(modules: nn.Module, config: LoraConfig) -> None:
    """Freezes `modules`, on the CPU, and puts changes beside the layers that `config.targets` names.

    These are all linear layers and convolutions, depthwise ones aside, whose names end so. Nothing is changed
    at first. The initial A come from torch's global generator.
    ValueError: no such layer."""
    able = _able(modules)
    names = [name for name in able if any(f".{name}".endswith(f".{end}") for end in config.targets)]
    if not names:
        raise ValueError(
            f"lora.targets={config.targets!r} fit no layer of this model; the names of its layers end, for "
            f"example, with {', '.join(map(repr, _ends(able)))}"
        )
    import peft

    alpha: Any = config.alpha or config.rank  # peft says int; it divides
    # As a pattern: of a list peft takes each name for an end, and "words" for that of "blocks.0.words", too.
    exactly = "|".join(map(re.escape, names))
    peft.inject_adapter_in_model(
        peft.LoraConfig(r=config.rank, lora_alpha=alpha, target_modules=exactly), modules, NAME
    )
    for layer in _changed(modules).values():
        # Otherwise autocast's inputs would be copied to float32 first, and back.
        layer.cast_input_dtype_enabled = False


def published(
    modules: nn.Module, weights: dict[str, Tensor], config: LoraConfig, folder: Path
) -> dict[str, Tensor]:
    """The weights of a model folder, under the names that they have without changes: themselves where there
    are none, `merged`, or with the changes in folder/adapter, as `apart` does.

    weights: of `modules`, averaged, by the names of its `state_dict`, on the CPU."""
    if not config.rank:
        return weights
    return merged(modules, weights) if config.merge else apart(modules, weights, folder)


def merged(modules: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights`, as of `published`, with the changes added in: they load into a model without any."""
    plain = _plain(weights)
    for name, update in _updates(modules, weights).items():
        plain[f"{name}.weight"] = update.added(plain[f"{name}.weight"])
    return plain


def apart(modules: nn.Module, weights: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Writes the changes into folder/adapter, for peft to load, and returns the weights before them."""
    updates = _updates(modules, weights)
    layer = next(iter(_changed(modules).values()))
    # No more than is needed: peft writes all its choices, its version, and targets in an order that differs.
    config = {
        "peft_type": "LORA",
        "r": layer.r[NAME],
        "lora_alpha": layer.lora_alpha[NAME],
        "target_modules": sorted(updates),
        "inference_mode": True,
    }
    (folder / ADAPTER).mkdir()
    (folder / ADAPTER / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    tensors: dict[str, Tensor] = {}
    for name, update in updates.items():
        tensors[f"{PREFIX}{name}.lora_A.weight"] = update.a
        tensors[f"{PREFIX}{name}.lora_B.weight"] = update.b
    save_file(tensors, folder / ADAPTER / WEIGHTS)
    return _plain(weights)


@torch.no_grad()
def apply_adapter(folder: Path, modules: nn.Module) -> bool:
    """Adds the changes in folder/adapter to the weights of `modules`, which have been read from `folder`.

    Afterwards `modules` is a plain model, the same to the bit as if the changes had been merged. False: there
    are none. ValueError: they are of another model, or of a kind that is not read here."""
    if not (folder / ADAPTER).is_dir():
        return False
    config = json.loads((folder / ADAPTER / CONFIG).read_text())
    if config.get("peft_type") != "LORA" or any(config.get(choice) for choice in UNREAD):
        choices = [config.get("peft_type"), *(choice for choice in UNREAD if config.get(choice))]
        raise ValueError(
            f"{folder / ADAPTER}: changes made with {', '.join(map(str, choices))} are not read; "
            "merge them with peft"
        )
    read, parameters = load_file(folder / ADAPTER / WEIGHTS), dict(modules.named_parameters())
    for key, a in read.items():
        name, _, which = key.removeprefix(PREFIX).rpartition(".lora_")
        if which == "B.weight":
            continue
        b, weight = read.get(key.replace(".lora_A.", ".lora_B.")), parameters.get(f"{name}.weight")
        if which != "A.weight" or b is None or weight is None:
            raise ValueError(f"{folder / ADAPTER}: {key} changes no layer of this model")
        if (len(b), *a.shape[1:]) != weight.shape:
            raise ValueError(
                f"{folder / ADAPTER}: {key} is a change of a weight of {(len(b), *a.shape[1:])}; the model's "
                f"is {tuple(weight.shape)}"
            )
        update = LowRankUpdate(a.to(weight.device), b.to(weight.device), config["lora_alpha"] / config["r"])
        weight.copy_(update.added(weight))
    return True


def _able(modules: nn.Module) -> list[str]:
    """Names of layers that can be changed."""
    # No subclasses: torch's attention has a linear layer of its own kind whose forward it never calls, and
    # neither does open_clip's pooling of those in it.
    pools = {f"{name}." for name, module in modules.named_modules() if type(module).__name__ == POOL}
    return [
        name
        for name, module in modules.named_modules()
        if (type(module) is nn.Linear or (type(module) is nn.Conv2d and module.groups == 1))
        and not name.startswith(tuple(pools))
    ]


def _ends(names: Iterable[str], most: int = 12) -> list[str]:
    """The commonest ends of names; a number is no name without what it counts."""
    ends = Counter(
        ".".join(name.split(".")[-2 if name.rpartition(".")[2].isdigit() else -1 :]) for name in names
    )
    return [end for end, _ in ends.most_common(most)]


def _changed(modules: nn.Module) -> dict[str, Any]:
    """peft's layers by the names that the layers in them have without changes."""
    from peft.tuners.lora import LoraLayer

    return {name: module for name, module in modules.named_modules() if isinstance(module, LoraLayer)}


def _updates(modules: nn.Module, weights: dict[str, Tensor]) -> dict[str, LowRankUpdate]:
    return {
        name: LowRankUpdate(
            weights[f"{name}.lora_A.{NAME}.weight"],
            weights[f"{name}.lora_B.{NAME}.weight"],
            layer.scaling[NAME],
        )
        for name, layer in _changed(modules).items()
    }


def _plain(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without changes, under the names without them."""
    return {
        name.replace(".base_layer.", "."): value for name, value in weights.items() if ".lora_" not in name
    }
