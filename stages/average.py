"""average: a model whose weights are averaged over another length of its training than was chosen at first.

The training has kept averages of two lengths or more on its way (`train.ema.lengths`,
`train.checkpoint_keep_every`); of these any other is made, with no further training (Karras et al. 2023,
arXiv:2312.02696, section 3).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.artifacts.artifact import Artifact
from stages.fingerprint import short_hash
from stages.output import Output
from stages.stage import Stats, StepSettings, stage

if TYPE_CHECKING:
    from torch import Tensor

AVERAGES = re.compile(r"checkpoints/(\d+)/averages\.safetensors")
"""Files of a model that hold averages, by images seen."""
PREFIXES = {
    r"model/model\.safetensors": ("",),
    r"model/text_encoder/model\.safetensors": ("text.model.",),
    r"model/text/(\d+)/model\.safetensors": (r"text.encoders.\1.", r"text.encoders.\1.model."),
}
"""Files of a model that hold learned weights, and what their names may begin with in the training besides:
transformers' own encoders are one level deeper there."""


@dataclass(frozen=True, kw_only=True)
class AverageConfig:
    """Which average of a training's weights is wanted."""

    length: float
    """Standard deviation of the times that it is of, as a share of the training until then; (0, 0.289], and
    0.289 is the plain mean of all. Longer forgets more noise, shorter lags less behind."""
    images: int = 0
    """Images seen at its end; 0 is the last checkpoint that was kept."""


class Averages(Mapping[str, "Tensor"]):
    """Averages of one length in a file, by names of weights; each is read when it is asked for."""

    def __init__(self, file: Any, profile: str, names: Sequence[str], reading: Callable[[str], None]) -> None:
        """Some of an open file.

        Args:
            file: of safetensors, "PROFILE:NAME" -> float32.
            profile: which.
            names: of weights, all those that the file has of it.
            reading: hears the name of what is about to be read.
        """
        self._file, self._profile, self._names, self._reading = file, profile, names, reading

    def __getitem__(self, name: str) -> "Tensor":
        self._reading(name)
        return self._file.get_tensor(f"{self._profile}:{name}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@stage(version=2, kind="model", step=StepSettings(reference="models"))
def average(model: Artifact, config: AverageConfig, out: Output) -> Stats:
    """Make a model of the averages that another's training has kept.

    What is not averaged (running statistics, what was frozen, tokenizers, frozen encoders) comes from the
    model as it is. In memory are the new weights, once, and one weight of one checkpoint besides.

    Args:
        model: of train, with checkpoints of averages of two lengths or more.
        config: which average.
        out: gets `model/`, as in the model.

    Returns:
        The funnel of the model, and in the statistics the factor on each checkpoint's averages, by images and
        length; they add up to 1.

    Raises:
        ValueError: the length or the time is out of range; nothing was kept that an average can be made of;
            the objective publishes its weights in another form than they were averaged in.
    """
    from sdmodel.config.learning import LONGEST
    from sdmodel.train.posthoc import coefficients, reconstruct

    if not 0 < config.length <= LONGEST:
        raise ValueError(
            f"average: length={config.length} must be above 0 and at most {LONGEST:.3f}, which is the mean "
            "of the whole training"
        )
    names = _checkpoints(model)
    last = max(names)
    images = config.images or last
    if not 0 < images <= last:
        raise ValueError(
            f"average: images={images} must be 1 to {last}, the last checkpoint that was kept (0 takes it)"
        )
    with ExitStack() as files:
        checkpoints = list(_averages(model, names, files, out))
        times, lengths = [at for at, _, _ in checkpoints], [length for _, length, _ in checkpoints]
        published = _published(model, set(checkpoints[0][2]))
        weights = reconstruct(checkpoints, images, config.length)
    for name in model.names("model/"):
        if name in published:
            _write(model, name, published[name], weights, out)
        else:
            out.add({name: model.entry(name)})
    factors: dict[str, dict[str, float]] = {}
    for at, length, factor in zip(
        times, lengths, coefficients(times, lengths, images, config.length), strict=True
    ):
        factors.setdefault(str(at), {})[str(length)] = round(factor, 6)
    statistics = {
        "objective": model.statistics["objective"],
        "images": images,
        "length": config.length,
        "factors": factors,
    }
    return Stats(model.funnel, statistics)


def _checkpoints(model: Artifact) -> dict[int, str]:
    """Files of averages by images seen, ascending. ValueError: there are none."""
    called = model.short_name
    if model.kind != "model":
        raise ValueError(f"average: {called} is no model but {model.kind}; `sdflow ls` shows models")
    if model.stage == average.name:
        source = (model.manifest.inputs["model"] or {})["fingerprint"]
        raise ValueError(
            f"average: {called} is an average itself; name the model it was made of, {short_hash(source)}"
        )
    checkpoints = {int(match[1]): name for name in model.names() if (match := AVERAGES.fullmatch(name))}
    if not checkpoints:
        raise ValueError(
            f"average: the training of {called} kept no averages; train with train.ema.lengths=[0.05, 0.1] "
            "and train.checkpoint_keep_every=1"
        )
    return dict(sorted(checkpoints.items()))


def _averages(
    model: Artifact, checkpoints: Mapping[int, str], files: ExitStack, out: Output
) -> Iterator[tuple[int, float, Averages]]:
    """Images, length and weights of all that was kept; `files` closes them."""
    from safetensors import safe_open

    from sdmodel.train.ema import HALF_LIFE

    done: dict[str, None] = {}
    for number, (images, name) in enumerate(checkpoints.items()):
        out.progress(number, len(checkpoints), "opening averages")
        out.check()
        # Open, it can be read even where the store's cache makes room for the next.
        file: Any = files.enter_context(safe_open(model.path(name), "pt"))
        names: dict[str, list[str]] = {}
        for key in file.keys():  # noqa: SIM118 - it is no mapping
            profile, _, weight = key.partition(":")
            names.setdefault(profile, []).append(weight)
        if not names.keys() - {HALF_LIFE}:
            raise ValueError(
                f"average: {name} holds an average with a half-life alone, of which no other can be made; "
                "train with train.ema.lengths=[0.05, 0.1]"
            )
        for profile, weights in names.items():
            if profile == HALF_LIFE:
                continue

            def reading(weight: str, total: int = len(weights)) -> None:
                if weight not in done:
                    out.progress(len(done), total, "averaging weights")
                    out.check()
                    done[weight] = None

            yield images, float(profile), Averages(file, profile, weights, reading)


def _published(model: Artifact, averaged: set[str]) -> dict[str, str]:
    """Files of the model with averaged weights, and the prefix of these. ValueError: not all are there."""
    from safetensors import safe_open

    from sdmodel.diffusion.folder import TRAINING_ALONE

    prefixes_by_file: dict[str, str] = {}
    there: set[str] = set()
    averaged = {name for name in averaged if not name.startswith(TRAINING_ALONE)}
    for name, prefixes in _learned(model).items():
        with safe_open(model.path(name), "pt") as file:
            keys: list[str] = list(file.keys())
        for prefix in prefixes:
            named = {f"{prefix}{key}" for key in keys}
            if named & averaged or prefixes == ("",):
                prefixes_by_file[name], there = prefix, there | named
    if missing := sorted(averaged - there):
        raise ValueError(
            f"average: objective {model.statistics['objective']} has published its weights in another form "
            f"than they were averaged in ({missing[0]} is in none of its files); averages are made for "
            "diffusion without train.lora"
        )
    return prefixes_by_file


def _learned(model: Artifact) -> dict[str, tuple[str, ...]]:
    """Files of a model that may hold learned weights, and what these may be called besides."""
    names: dict[str, tuple[str, ...]] = {}
    for name in model.names("model/"):
        for pattern, prefixes in PREFIXES.items():
            if match := re.fullmatch(pattern, name):
                names[name] = tuple(match.expand(prefix) for prefix in prefixes)
    return names


def _write(model: Artifact, name: str, prefix: str, weights: Mapping[str, "Tensor"], out: Output) -> None:
    """One of the model's files with other weights; what is not averaged stays."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    path: Path = out.write(name)
    with safe_open(model.path(name), "pt") as file:
        metadata: dict[str, str] | None = file.metadata()
        tensors = {
            key: weights[f"{prefix}{key}"] if f"{prefix}{key}" in weights else file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118 - it is no mapping
        }
    save_file(tensors, path, metadata)
