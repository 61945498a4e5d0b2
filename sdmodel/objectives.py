"""Objectives by name. Each brings libraries that the others do not need, so they are imported when asked
for."""

from collections.abc import Collection, Sequence
from pathlib import Path

from sdmodel.conditions.interface import ConditionLayout
from sdmodel.config.train import TrainConfig
from sdmodel.objective import Objective


def objective_of(
    config: TrainConfig,
    captions: list[str],
    latents: Path | None = None,
    *,
    texts: Sequence[Path | None] = (),
    labels: Path | None = None,
    uids: Collection[str] | None = None,
    encoder: Path | None = None,
    conditions: Sequence[ConditionLayout] = (),
    starting: bool = False,
) -> Objective:
    """The objective that `config` names, with initial weights from torch's global generator.

    captions: all of the training split's; autoencoder, gan and selfsupervised do without.
    latents: folder of cached latents or text states, for diffusion alone.
    texts: folders of pretrained text encoders, for `config.text` and each of `config.texts`; for diffusion
    and text.
    labels: table of uids and labels, for text and selfsupervised.
    uids: of the training split's rows, for both; None: those of that table.
    encoder: folder of the frozen image encoder that pictures are seen by.
    conditions: what is known of pictures beside captions, for diffusion.
    starting: its `start` will be called, so that weights need not be drawn.
    ValueError: config does not fit the objective, or names none."""
    if latents and config.objective != "diffusion":
        raise ValueError(
            f"objective={config.objective!r} learns from pixels and captions; cached latents are for "
            '"diffusion": leave encode.autoencoder and encode.text empty'
        )
    match config.objective:
        case "diffusion":
            from sdmodel.diffusion.objective import DiffusionObjective

            return DiffusionObjective(
                config,
                captions,
                latents,
                texts=texts,
                encoder=encoder,
                starting=starting,
                conditions=conditions,
            )
        case "contrastive":
            from sdmodel.contrastive.objective import ContrastiveObjective

            return ContrastiveObjective(config, captions)
        case "text":
            from sdmodel.pretrain.objective import TextObjective

            return TextObjective(config, captions, labels, texts[0] if texts else None, uids)
        case "autoencoder":
            from sdmodel.autoencoder.objective import AutoencoderObjective

            return AutoencoderObjective(config, encoder)
        case "gan":
            from sdmodel.gan.objective import GanObjective

            return GanObjective(config)
        case "selfsupervised":
            from sdmodel.selfsupervised.objective import SelfSupervisedObjective

            return SelfSupervisedObjective(config, labels, uids)
