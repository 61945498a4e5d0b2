"""The training process: reads a plan, builds the objective, runs the loop. `python -m sdmodel.train.run PLAN.json`."""

from sdmodel.config import TrainConfig
from sdmodel.train.objective import Objective


def objective_of(config: TrainConfig, captions: list[str]) -> Objective:
    """The objective that `config` names; captions are those of the training split, in the index's order."""
    if config.objective == "contrastive":
        from sdmodel.contrastive.objective import ContrastiveObjective

        return ContrastiveObjective(config, captions)
    from sdmodel.diffusion import DiffusionObjective

    return DiffusionObjective(config, captions)
