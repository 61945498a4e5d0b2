"""Conditions of a model to be trained: new ones, or those of the model that it starts from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sdmodel.conditions.conditions import Conditions
from sdmodel.conditions.interface import ConditionLayout, Placement
from sdmodel.conditions.picture import PictureLayout
from sdmodel.config.train import TrainConfig
from sdmodel.denoise.concatenation import widened
from sdmodel.denoise.unet2d import UNet2D
from sdmodel.diffusion.model import CaptionEncoder, Diffusion
from sdmodel.diffusion.own import OwnParts


def conditions_of(
    config: TrainConfig, layouts: Sequence[ConditionLayout], text: CaptionEncoder
) -> Conditions | None:
    """New ones beside captions as `text` encodes them, with initial weights from torch's global generator;
    None: there are no layouts."""
    if not layouts:
        return None
    tokens = config.network == "unet2d"  # which reads tokens alone
    placement = Placement(text.token_width if tokens else config.conditions.width, tokens)
    fitted = [
        layout.beside(text.pooled_width, text.token_width) if isinstance(layout, PictureLayout) else layout
        for layout in layouts
    ]
    return Conditions(fitted, placement, config.conditions.rates, config.conditions.dropout)


def add_to_pipeline(folder: Path, config: TrainConfig, conditions: Conditions, network: UNet2D) -> None:
    """Makes the denoiser of the pipeline in a folder read new conditions besides: what it computes of
    captions alone stays at first, but for tokens, which it attends to. ValueError: it cannot."""
    if not network.conditional:
        raise ValueError(f"{folder}: its denoiser is told of no conditions; leave train.conditions out")
    if config.lora.rank:
        names = list(conditions.modules_by_name)
        raise ValueError(
            f"{folder}: its denoiser was taught no conditions, and {names} cannot be added by low-rank "
            "changes; leave them out of train.conditions, or train the weights themselves"
        )
    network.widen(conditions.channels)


def conditions_of_start(
    folder: Path, config: TrainConfig, layouts: Sequence[ConditionLayout], model: Diffusion, *, own: OwnParts
) -> Conditions | None:
    """Those of the model in a folder, or new ones, which its network is then made to read besides: what it
    computes of captions alone stays at first.

    ValueError: it knows others than the config names, or new ones cannot be added."""
    mine, theirs = conditions_of(config, layouts, model.text), model.conditions
    named = [layout.name for layout in layouts]
    if theirs is not None:
        known = [layout.name for layout in theirs.layouts]
        if mine is None or named != known or mine.placement != theirs.placement:
            raise ValueError(
                f"{folder}: its model was taught the conditions {known}, of width "
                f"{theirs.placement.width}; the config names {named}: name the same in train.conditions, "
                "of that width"
            )
        _check_pictures(folder, mine, theirs)
        mine.load_state_dict(theirs.state_dict())
        return mine
    if mine is None:
        return None
    if config.lora.rank or own.network or mine.channels:
        raise ValueError(
            f"{folder}: its model was taught no conditions, and {named} cannot be added by low-rank "
            "changes, to a network of your own, or as channels; leave them out of train.conditions, or "
            "train the weights themselves"
        )
    if mine.pooled_width:
        network: Any = model.network
        widened(network.caption, mine.pooled_width)
    return mine


def _check_pictures(folder: Path, mine: Conditions, theirs: Conditions) -> None:
    """ValueError: pictures reach the network of the model in a folder otherwise, or by another encoder."""
    for own, other in zip(mine.layouts, theirs.layouts, strict=True):
        if not isinstance(own, PictureLayout):
            continue
        assert isinstance(other, PictureLayout)
        if differ := own.differences(other):
            raise ValueError(
                f"{folder}: its model was taught pictures with other {', '.join(differ)}; make "
                "train.conditions.picture and train.encoder agree with it"
            )
