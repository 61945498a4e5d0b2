"""The model that a run files itself: it must not be what the same run starts from, whatever is newest."""

from collections.abc import Iterator
from typing import Protocol

from sdmodel.config.train import TrainConfig


class Encoding(Protocol):
    """A step's config that names an autoencoder."""

    @property
    def autoencoder(self) -> str:
        """A folder or a reference; empty: none."""
        ...


def starts(train: TrainConfig | None, encode: Encoding | None) -> Iterator[tuple[str, str]]:
    """(config key, what stands there) of all that names a model to start from or to encode with."""
    if train is not None:
        yield "train.start", train.start
        yield "train.text.start", train.text.start
        yield from ((f"train.texts[{n}].start", text.start) for n, text in enumerate(train.texts))
    if encode is not None:
        yield "encode.autoencoder", encode.autoencoder


def check_starts(name: str, train: TrainConfig | None, encode: Encoding | None) -> None:
    """ValueError: something is to start from the newest model of the run's own name. Each repetition would
    begin with the result of the one before, train on top of it, and file another."""
    for key, text in starts(train, encode):
        model, _, number = text.partition("@")
        if model == f"models/{name}" and number in ("", "latest"):
            raise ValueError(
                f"{key}={text!r}: the run files its own models as {model}, so that each repetition would "
                "start from the one before; name the version to start from by its number, as "
                f"{model}@1 (`sdflow ls` shows them), or give the run another name"
            )
