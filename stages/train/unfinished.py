"""Unfinished trainings of other settings: a notice for a person who meant to go on with one of them.

A training goes by all that can change its result, so another rate or length is another training, which begins
anew. The checkpoints of the first stay in the store until it is finished or swept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdmodel.config.limits import spelled
from sdmodel.config.train import TrainConfig
from stages.config.differences import differences
from stages.fingerprint import JSON

INPUTS = ("dataset", "start", "latents", "labels", "texts")
"""What a training reads, in the order of its inputs' digests; all after the last are texts."""
NAMED = 6
"""Settings that a message names."""


@dataclass(frozen=True)
class Unfinished:
    """A training whose checkpoints are in the store."""

    fingerprint: str
    """Of its request."""
    config: Mapping[str, JSON]
    """Canonical, see `canonical_config`."""
    inputs: Sequence[str]
    """Digests of what it reads."""
    images: int
    """Seen when its newest checkpoint was taken."""

    @classmethod
    def of(cls, statistics: Mapping[str, Any]) -> "Unfinished | None":
        """From a checkpoint's statistics; None where they say nothing of the training."""
        names = ("fingerprint", "config", "inputs", "images")
        return cls(**{name: statistics[name] for name in names}) if set(names) <= set(statistics) else None

    def differences(self, config: Mapping[str, JSON], inputs: Sequence[str]) -> list[str]:
        """Where it differs from a training with this canonical config and these inputs, in a few words each:
        "optimizer.muon_rate=0.01 (here 0.02)"."""
        changes = [
            f"{name}={_shown(own)} (here {_shown(other)})"
            for name, (own, other) in differences(self.config, config).items()
        ]
        pairs = zip(self.inputs, inputs, strict=False)
        apart = {INPUTS[min(n, len(INPUTS) - 1)]: None for n, pair in enumerate(pairs) if pair[0] != pair[1]}
        if len(self.inputs) != len(inputs):
            apart["texts"] = None
        return changes + [f"another {name.removesuffix('s')}" for name in apart]


def notice(
    others: Sequence[Unfinished], config: Mapping[str, JSON], inputs: Sequence[str], continued_at: int = 0
) -> str:
    """A notice of the unfinished trainings of a store, before one begins; empty where none is near it: of the
    same dataset, or of the same settings.

    Args:
        others: what is there, of other requests.
        config: of the training that begins, canonical, see `canonical_config`.
        inputs: digests of what it reads, the dataset's first.
        continued_at: images seen by the model that it goes on with, 0 where it begins from nothing.
    """
    begins = f"goes on after {continued_at:,} images of another" if continued_at else "begins anew"
    near = [
        training
        for training in others
        if training.inputs[:1] == list(inputs[:1]) or training.config == config
    ]
    if not near:
        return ""
    candidates = [(training.differences(config, inputs), training) for training in near]
    differ, nearest = min(candidates, key=lambda pair: (len(pair[0]), -pair[1].images, pair[1].fingerprint))
    total = nearest.config.get("images", TrainConfig.images)
    settings = ", ".join(differ[:NAMED]) + (f" and {len(differ) - NAMED} more" if len(differ) > NAMED else "")
    more = f" ({len(near) - 1} more of other settings are there.)" if len(near) > 1 else ""
    if not differ:
        return (
            f"An unfinished training of this config is in the store, {nearest.images:,} of {total:,} images, "
            f"but another version of the stage made it: it cannot be continued, and this one {begins}."
        )
    return (
        f"An unfinished training of other settings is in the store: it had seen {nearest.images:,} of "
        f"{total:,} images, with {settings}. To go on with it, run it with its own settings; this one "
        f"{begins}.{more}"
    )


def _shown(setting: Any) -> Any:
    """A setting; what is left open as YAML spells it."""
    return spelled(setting) if setting is None else setting
