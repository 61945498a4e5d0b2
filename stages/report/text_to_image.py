"""What models of the store draw pictures from text, and which of them go together. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from stages.artifacts.artifact import Artifact


def settings_of(artifact: Artifact, name: str) -> Mapping[str, Any]:
    """ "model" of the model folder's config.json: what decides its weights and what they mean.

    name: that it was asked for by. ValueError: it is no text-to-image model."""
    if artifact.kind != "model" or artifact.statistics.get("objective", "diffusion") != "diffusion":
        what = artifact.statistics.get("objective") or artifact.kind
        if what == "gan":
            raise ValueError(f"{name} draws without captions; leave them out")
        raise ValueError(f"{name} is no text-to-image model but {what}; `sdflow ls` shows models")
    settings: Mapping[str, Any] = artifact.json("model/config.json")["model"]
    return settings


def check_shown(settings: Mapping[str, Any], name: str) -> None:
    """ValueError: the model takes no picture beside a caption. settings: as of `settings_of`."""
    pictures = [each for each in settings.get("conditions", ()) if each["kind"] == "picture"]
    if not pictures:
        raise ValueError(
            f"{name} was taught no pictures beside captions; train a model with train.conditions.picture, as "
            "examples/picture-prompt.yaml does, or leave --image out"
        )
    if pictures[0]["source"] == "noisy":
        raise ValueError(
            f"{name} sees its own pictures on their way from noise and takes no other; train one with "
            'train.conditions.picture.source "reference" or "prior", or leave --image out'
        )


def check_alike(model: Artifact, name: str, weak: Artifact, weak_name: str) -> None:
    """ValueError: guidance cannot lead a model away from another, as they differ in what their estimates
    mean: space, noise schedule or prediction."""
    mine, other = settings_of(model, name), settings_of(weak, weak_name)
    if differ := [key for key in ("space", "noise") if mine.get(key) != other.get(key)]:
        raise ValueError(
            f"--autoguidance {weak_name} differs from {name} in {' and '.join(differ)}; take an earlier "
            "average of the same training, see `sdflow average --help`"
        )
