"""What a step of the diffusion objective costs, from the shapes of its models alone: parameters, FLOPs and
memory. No weights are made or read: it is counted on torch's meta device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.conditions.build import unlearned_layouts
from sdmodel.conditions.conditions import Conditions
from sdmodel.conditions.interface import Placement
from sdmodel.config.train import TrainConfig
from sdmodel.denoise.build import build_denoiser
from sdmodel.denoise.unet2d import UNet2D
from sdmodel.latents.space import Space
from sdmodel.lora import inject
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.text.conditioner import TextConditioner
from sdmodel.text.pipeline import PipelineTextEncoder
from sdmodel.train.activations import Activations, count_pass
from sdmodel.train.memory import MemoryEstimate, state_bytes


@dataclass(frozen=True, kw_only=True)
class CaptionShape:
    """Text states as a frozen encoder makes them."""

    length: int
    """Tokens of a caption."""
    width: int
    """Channels of each."""


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """What it takes to learn from pictures of one size."""

    parameters: Mapping[str, int]
    """By part of the model; frozen encoders, whose results are cached, are no parts."""
    learned: int
    """Parameters that change."""
    flops: float
    """Of an image, forward and backward."""
    kernels: int
    """Operations that a GPU is told to start for each part of a batch, without the optimizer's."""
    memory: MemoryEstimate
    """Of one process that holds all of the weights."""


def step_cost(
    config: TrainConfig,
    space: Space,
    captions: CaptionShape | TextConditioner | PipelineTextEncoder,
    *,
    unet: dict[str, Any] | None = None,
    maps: int | None = None,
    bf16: bool = True,
) -> StepCost:
    """Counts a step.

    Args:
        config: of the training; its size is that of the pictures, a square.
        space: what the denoiser works on.
        captions: cached text states, or the text encoder that is learned along, with its weights.
        unet: unet/config.json of the pipeline to start from; None: the network is the config's.
        maps: side of square arrays that our UNet learns positions for; None: those of the config's size.
        bf16: mixed precision, as on a GPU.

    Raises:
        ConfigError: the network cannot see pictures of that size.
        ValueError: the pipeline's UNet is of another kind, or low-rank changes fit no layer.
    """
    encoder = None if isinstance(captions, CaptionShape) else captions
    words = captions if isinstance(captions, CaptionShape) else _states(captions)
    pooled = words.width if encoder is None else encoder.pooled_width
    padded = encoder is not None and encoder.padded
    parts = nn.ModuleDict()
    with torch.device("meta"):
        network, beside = _denoiser(config, space, pooled, words.width, unet=unet, maps=maps, padded=padded)
        parts["network"] = network
        if len(beside.each):
            parts["conditions"] = beside
        heavy: Any = network.heavy
        if config.lora.rank:
            inject(parts, config.lora)
        _freeze(parts, config)

        arrays = torch.randn(1, *space.shape(config.size, config.size))
        arrays = arrays.contiguous(memory_format=torch.channels_last)
        states_and_mask = (
            torch.randn(1, words.length, words.width),
            torch.ones(1, words.length, dtype=torch.bool),
        )
        times, condition = torch.rand(1), Condition(torch.randn(1, pooled), *states_and_mask)

        def loss() -> Tensor:
            return network(arrays, times, beside(condition, {})).square().mean()

        counts = [count_pass(loss, parts, heavy, bf16=bf16)]
        states = state_bytes(parts, config)
        parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
        learned = sum(p.numel() for p in parts.parameters() if p.requires_grad)
    if encoder is not None:
        text = nn.ModuleDict({"text": encoder})
        encoder.requires_grad_(not config.lora.rank)
        _freeze(text, config)
        parameters["text"] = sum(p.numel() for p in encoder.parameters())
        learned += (of_text := sum(p.numel() for p in encoder.parameters() if p.requires_grad))
        states = {name: value + state_bytes(text, config)[name] for name, value in states.items()}
        if of_text:  # else, beside the denoiser, it is next to nothing
            counts.append(count_pass(lambda: _text_loss(encoder), text, bf16=bf16))
    memory = MemoryEstimate(
        **states,
        activations=_sum([count.saved for count in counts]),
        checkpointed=_sum([count.checkpointed for count in counts]),
    )
    flops = sum(count.flops for count in counts)
    return StepCost(
        parameters=parameters,
        learned=learned,
        flops=flops,
        kernels=sum(count.kernels for count in counts),
        memory=memory,
    )


def _denoiser(
    config: TrainConfig,
    space: Space,
    pooled: int,
    width: int,
    *,
    unet: dict[str, Any] | None,
    maps: int | None,
    padded: bool,
) -> tuple[nn.Module, Conditions]:
    """The network for captions of these widths, and the conditions beside them; arguments as of
    `step_cost`."""
    schedule = NoiseSchedule()  # which one makes no difference to the cost
    tokens = unet is not None or config.network == "unet2d"
    placement = Placement(width if tokens else config.conditions.width, tokens)
    beside = Conditions(unlearned_layouts(config.conditions), placement)
    if unet:
        return UNet2D(unet, schedule, padded=padded, beside=beside.channels), beside
    widths = pooled + beside.pooled_width, width
    shapes: dict[str, Any] = {"padded": padded, "maps": maps, "beside": beside.channels}
    return build_denoiser(config, space, *widths, schedule, **shapes), beside


@torch.no_grad()
def _states(encoder: TextConditioner | PipelineTextEncoder) -> CaptionShape:
    length, width = encoder.encode_captions([""]).states.shape[1:]
    return CaptionShape(length=length, width=width)


def _text_loss(encoder: TextConditioner | PipelineTextEncoder) -> Tensor:
    condition = encoder.encode_captions([""])
    return condition.pooled.float().square().sum() + condition.states.float().square().mean()


def _freeze(modules: nn.Module, config: TrainConfig) -> None:
    for name, parameter in modules.named_parameters():
        if name.startswith(config.learning.frozen):
            parameter.requires_grad_(False)


def _sum(parts: Sequence[Activations]) -> Activations:
    return Activations(constant=sum(part.constant for part in parts), row=sum(part.row for part in parts))
