"""The stages of this project, and the kind of artifact that each makes: the one list that names them all.

Take-downs, traces, the import contract, the documentation and the tests go by it. Modules are imported when
they are needed: a stage's body may bring pandas or pyarrow along, its kind brings neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from stages.artifacts.artifact import Artifact
from stages.kind import Kind

if TYPE_CHECKING:
    from stages.stage import AnyStage


@dataclass(frozen=True)
class Registration:
    """Where a stage and its kind are defined, each as "MODULE:NAME"."""

    stage: str
    kind: str

    @property
    def name(self) -> str:
        """Of the stage."""
        return self.stage.partition(":")[2].rstrip("_")

    def load_stage(self) -> "AnyStage":
        """The stage; imports all that its body needs."""
        module, _, name = self.stage.partition(":")
        return getattr(import_module(module), name)

    def load_kind(self) -> Kind:
        """What its artifacts are to the rest."""
        module, _, name = self.kind.partition(":")
        return getattr(import_module(module), name)


REGISTERED = (
    Registration("stages.collect.collect:collect", "stages.kinds.images:IMAGES"),
    Registration("stages.dedup:dedup", "stages.kinds.duplicates:DUPLICATES"),
    Registration("stages.score:score", "stages.kinds.scores:SCORES"),
    Registration("stages.filter:filter_", "stages.kinds.selection:SELECTION"),
    Registration("stages.shard:shard", "stages.kinds.dataset:DATASET"),
    Registration("stages.encode:encode", "stages.kinds.latents:LATENTS"),
    Registration("stages.forecast.pace:pace", "stages.kinds.pace:PACE"),
    Registration("stages.train.train:train", "stages.kinds.model:MODEL"),
    Registration("stages.average:average", "stages.kinds.model:MODEL"),
    Registration("stages.cluster:cluster", "stages.kinds.clusters:CLUSTERS"),
    Registration("stages.label:label", "stages.kinds.labels:LABELS"),
    Registration("stages.evaluate:evaluate", "stages.kinds.evaluation:EVALUATION"),
)
"""In the order of the line."""


def kind_of(artifact: Artifact) -> Kind:
    """What an artifact is to the rest.

    Raises:
        ValueError: no stage of this version makes such artifacts.
    """
    if artifact.kind not in kinds():
        raise ValueError(
            f"{artifact.short_name} is of kind {artifact.kind!r}; this version "
            f"knows the kinds {', '.join(kinds())}; use the version that made it"
        )
    return kinds()[artifact.kind]


@cache
def kinds() -> Mapping[str, Kind]:
    """Every kind by its name, in the order of the line."""
    loaded = [registration.load_kind() for registration in REGISTERED]
    return {kind.name: kind for kind in loaded}
