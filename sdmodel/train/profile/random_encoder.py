"""An image encoder that has learned nothing, as large as one that a training would make: for measuring how
fast a training would be that sees pictures by it, before it is there."""

from dataclasses import replace
from pathlib import Path

from sdmodel.config.train import TrainConfig


def write(folder: Path, config: TrainConfig) -> Path:
    """Saves what a training of the self-supervised objective begins with; returns the folder.

    folder: existing and empty. config: of that training."""
    from sdmodel.selfsupervised.objective import SelfSupervisedObjective

    learned = config.selfsupervised
    shape = {name: getattr(learned, name) for name in ("tower", "width", "blocks", "vit", "embedding")}
    objective = SelfSupervisedObjective(replace(config, selfsupervised=type(learned)(**shape)))
    weights = objective.modules.state_dict()
    objective.save(folder, {name: weight.contiguous() for name, weight in weights.items()})
    return folder
