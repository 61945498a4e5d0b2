"""Frozen image encoders of ours that a training or an evaluation sees pictures by, models/NAME."""

from pathlib import Path

from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import resolve
from stages.store import Store

KIND = "selfsupervised"
"""Objective whose models are image encoders."""


def image_encoder_input(store: Store, key: str, text: str) -> Artifact | None:
    """The image encoder that a config names, as a stage's input; None where it names none.

    Args:
        store: where models are.
        key: of the config, "train.encoder".
        text: a reference to one of our models.

    Raises:
        ValueError: it is none that the self-supervised objective made.
    """
    if not text:
        return None
    try:
        model = resolve(store, text)
    except ValueError as error:
        raise ValueError(f"{key}={text!r}: {error}") from error
    config = model.json("model/config.json") if "model/config.json" in model.files else {}
    if config.get("kind") != KIND:
        raise ValueError(
            f"{key}={text!r} is no image encoder; name a model that train made with objective {KIND}"
        )
    return model


def image_encoder_folder(encoder: Artifact | None, folder: Path) -> Path | None:
    """Where its files lie, or links to them in `folder`; None where there is none."""
    return encoder.lay("model/", folder) if encoder else None
