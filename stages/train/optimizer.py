"""The optimizer of a training, and its rates, where the config leaves them to what the training starts from;
and what the model's statistics say of them."""

from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Artifact, Snapshot
from stages.fingerprint import JSON
from stages.pretrained.continuation import FROM_PIPELINE, Continuation, optimizer_of


def from_pipeline(start: Snapshot | Artifact | Continuation | None) -> bool:
    """Whether a training starts from a pipeline in the layout of Stable Diffusion, or goes on with one that
    did: its rates stay those of its start."""
    if isinstance(start, Continuation):
        return bool(optimizer_of(start.artifact).get(FROM_PIPELINE))
    return isinstance(start, Snapshot)


def settled(config: TrainConfig, start: Snapshot | Artifact | Continuation | None) -> TrainConfig:
    """A config with the optimizer and the rates that suit what a training starts from."""
    return config.starting(pipeline=from_pipeline(start))


def optimizer_statistics(
    config: TrainConfig, start: Snapshot | Artifact | Continuation | None
) -> dict[str, JSON]:
    """Which optimizer a training learns by, and its learning rates at their peak."""
    learning = settled(config, start).learning
    rates: dict[str, JSON] = {"muon_rate": learning.muon_rate} if learning.kind == "muon" else {}
    origin: dict[str, JSON] = {FROM_PIPELINE: True} if from_pipeline(start) else {}
    return {"kind": learning.kind, **rates, "adam_rate": learning.adam_rate, **origin}
