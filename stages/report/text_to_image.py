"""What models of the store draw pictures from text, and which of them go together. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from stages.artifacts.artifact import Artifact


def settings_of(artifact: Artifact, name: str) -> Mapping[str, Any]:
    """ "model" of the model folder's config.json: what decides its weights and what they mean.

    name: that it was asked for by. ValueError: it is no text-to-image model."""
    if artifact.kind != "model" or artifact.statistics.get("objective", "diffusion") != "diffusion":
        what = artifact.statistics.get("objective") or artifact.kind
        raise ValueError(f"{name} is no text-to-image model but {what}; `sdflow ls` shows models")
    settings: Mapping[str, Any] = artifact.json("model/config.json")["model"]
    return settings


def check_alike(model: Artifact, name: str, weak: Artifact, weak_name: str) -> None:
    """ValueError: guidance cannot lead a model away from another, as they differ in what their estimates
    mean: space, noise schedule or prediction."""
    mine, other = settings_of(model, name), settings_of(weak, weak_name)
    if differ := [key for key in ("space", "noise") if mine.get(key) != other.get(key)]:
        raise ValueError(
            f"--autoguidance {weak_name} differs from {name} in {' and '.join(differ)}; take an earlier "
            "average of the same training, see `sdflow average --help`"
        )
