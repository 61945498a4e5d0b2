"""Text encoders by kind: learned from captions, or from a folder."""

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from sdmodel.config.text import TextConfig
from sdmodel.text.encoder import TextEncoder


def encoder_of(config: TextConfig) -> type[TextEncoder]:
    """The class of a kind. Kinds are modules, so that each brings its libraries only when it is used;
    the config's type has checked the name."""
    return importlib.import_module(f"sdmodel.text.{config.kind}").ENCODER


def learn(config: TextConfig, captions: Iterable[str]) -> TextEncoder:
    """An encoder with random weights from torch's global generator and a tokenizer learned from captions.

    ValueError: the config does not fit its kind."""
    return encoder_of(config).learn(config, captions)


def load(folder: Path, config: TextConfig, captions: Sequence[str] = ()) -> TextEncoder:
    """The encoder of `config.kind` in a folder; see `TextEncoder.load`. ValueError: it holds none."""
    return encoder_of(config).load(folder, config, captions)
