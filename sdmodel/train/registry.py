"""Objectives by name. Each brings libraries that the others do not need, so they are imported when asked
for."""

from sdmodel.config import TrainConfig
from sdmodel.train.objective import Objective


def objective_of(config: TrainConfig, captions: list[str]) -> Objective:
    """The objective that `config` names, with initial weights from torch's global generator.

    captions: all of the training split's; autoencoder and selfsupervised do without.
    ValueError: config does not fit the objective, or names none."""
    match config.objective:
        case "diffusion":
            from sdmodel.diffusion import DiffusionObjective

            return DiffusionObjective(config, captions)
        case "contrastive":
            from sdmodel.contrastive.objective import ContrastiveObjective

            return ContrastiveObjective(config, captions)
        case "autoencoder":
            from sdmodel.autoencoder.objective import AutoencoderObjective

            return AutoencoderObjective(config)
        case "selfsupervised":
            from sdmodel.selfsupervised.objective import SelfSupervisedObjective

            return SelfSupervisedObjective(config)
