"""The model that a run files itself: it must not be what the same run starts from, whatever is newest."""

from collections.abc import Iterator, Mapping

from sdmodel.config.limits import Mistake
from sdmodel.config.train import TrainConfig


def starts_of(train: TrainConfig) -> dict[str, str]:
    """Config key -> the model that a training starts from, of all that name one."""
    return {
        "train.start": train.start,
        "train.continue_from": train.continue_from,
        "train.encoder": train.encoder,
        "train.text.start": train.text.start,
        **{f"train.texts.{n}.start": text.start for n, text in enumerate(train.texts)},
    }


def own_models(name: str, starts: Mapping[str, str]) -> Iterator[Mistake]:
    """What is to start from the newest model of the run's own name. Each repetition would begin with the
    result of the one before, train on top of it, and file another."""
    for key, text in starts.items():
        model, _, number = text.partition("@")
        if model == f"models/{name}" and number in ("", "latest"):
            yield Mistake(
                {key: text},
                f"is what the run itself files as {model}, so that each repetition would start from the one "
                f"before; name the version by its number, as {model}@1 (`sdflow ls` shows them), or give the "
                "run another name",
            )
