"""A model: what it learned from, with what choices, how large it is, what it drew, how to use it."""

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.catalogue import Contents
from dashboard.lineage.resolution import reference_name
from dashboard.pictures.drawings import drawings
from dashboard.versions.flattened import flattened, shown
from stages.artifacts.artifact import Artifact
from stages.errors import DamagedError
from stages.registry import kinds

ABOUT = "model/config.json"
SAMPLES = "samples/"
HEADER = 20 * 10**6
"""Bytes of a safetensors header that are read; larger ones are of no model of ours."""
SHOWN_SAMPLES = 60
"""Grids of samples of a page: of more, some evenly chosen, with the first and the last."""


@dataclass(frozen=True)
class Source:
    """Something that a model was made from, directly or not."""

    input: str
    """What the model calls it; empty where it is not its own input."""
    artifact: Artifact
    name: str
    """What people call it."""
    what: str
    """"learned from", "made of" or "begun with"."""


@dataclass(frozen=True)
class Sample:
    """A grid of samples, drawn while the model learned."""

    name: str
    """Of the file."""
    label: str
    """Images seen, or what else the file is called."""


@dataclass(frozen=True)
class Command:
    """A command for a terminal, and what it does."""

    what: str
    text: str


def is_model(artifact: Artifact) -> bool:
    """Whether it has learned."""
    kind = kinds().get(artifact.kind)
    return kind is not None and kind.learns


def sources(contents: Contents, model: Artifact) -> list[Source]:
    """Everything that a model was made from, nearest first: datasets, models, collections, the rest."""
    own = {parent.fingerprint: name for name, parent in contents.parents(model)}
    return [
        Source(own.get(each.fingerprint, ""), each, reference_name(contents, each), _what(each))
        for each in contents.ancestors(model)
    ]


def training_of(contents: Contents, model: Artifact) -> Artifact:
    """What trained the weights: the model, or the one that it is an average of."""
    for each in (model, *contents.ancestors(model)):
        if is_model(each) and (each.dropped is not None or "metrics.jsonl" in each.files):
            return each
    return model


def choices(model: Artifact) -> dict[str, str]:
    """Every choice of a training by its path, as people read it: whole where the model's folder has it, else
    what was not left at its default.

    DamagedError: the folder's file is not what was published."""
    config: Any = model.config
    if model.dropped is None and ABOUT in model.files:
        about: Any = json.loads(model.read(ABOUT))
        config = about.get("training") or model.config
    return {path: shown(value) for path, value in flattened(config).items()}


def chosen(model: Artifact) -> dict[str, str]:
    """The choices that were not left at their defaults."""
    return {path: shown(value) for path, value in flattened(model.config).items()}


def statistics(model: Artifact) -> dict[str, str]:
    """What a training says of itself, but for its warnings, which stand for themselves, and its parts."""
    values = {name: value for name, value in model.statistics.items() if name not in ("warnings", "parts")}
    return {path: shown(value) for path, value in flattened(values).items()}


def weights(model: Artifact) -> list[tuple[str, int, int]]:
    """(file, parameters, bytes) of each file of weights in the model's folder, the greatest first.

    Parameters are counted by the header of the file (safetensors); -1 where it is none that can be read."""
    files = [
        (name, _parameters(model, name), model.entry(name).size)
        for name in model.names("model/")
        if name.endswith(".safetensors")
    ]
    return sorted(files, key=lambda file: (-file[2], file[0]))


def samples(model: Artifact) -> list[Sample]:
    """Grids of samples in the order of images seen; the picture of all of them is no part of it."""
    names = [name for name in drawings(model, SAMPLES) if re.search(r"/\d+\.png$", name)]
    names.sort(key=lambda name: int(name.removeprefix(SAMPLES).removesuffix(".png").rpartition("/")[2]))
    if len(names) > SHOWN_SAMPLES:
        last = len(names) - 1
        places = sorted({round(place * last / (SHOWN_SAMPLES - 1)) for place in range(SHOWN_SAMPLES)})
        names = [names[place] for place in places]
    return [Sample(name, f"{int(name.rpartition('/')[2].removesuffix('.png')):,}") for name in names]


def commands(contents: Contents, model: Artifact) -> Iterator[Command]:
    """How to use it, in a terminal of this machine."""
    name = shlex.quote(reference_name(contents, model))
    store = f" --store {shlex.quote(contents.store.url)}"
    objective = model.statistics.get("objective")
    if objective == "diffusion":
        yield Command("Draw a picture", f'sdflow generate {name} "a caption" --out picture.png{store}')
    yield Command("Copy its files, with a model card", f"sdflow export {name} model-folder{store}")
    if objective == "diffusion":
        words = "As a pipeline for diffusers, where its network is one"
        yield Command(words, f"sdflow export {name} pipeline-folder --to diffusers{store}")
    yield Command("Say where it came from", f"sdflow show {name}{store}")


def nearest(report: Mapping[str, Any]) -> list[tuple[str, Sequence[int]]]:
    """(uid, numbers of the samples that it is nearest to, from 1) of the training images nearest to samples,
    in the order of the samples."""
    entry = report.get("nearest")
    uids: Any = entry.get("uids") if isinstance(entry, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    by_uid: dict[str, list[int]] = {}
    for number, uid in enumerate(uids if isinstance(uids, list) else (), 1):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        by_uid.setdefault(str(uid), []).append(number)  # pyright: ignore[reportUnknownArgumentType]
    return list(by_uid.items())


def _what(artifact: Artifact) -> str:
    kind = kinds().get(artifact.kind)
    if kind is None:
        return "made of"
    return "begun with" if kind.learns else "learned from" if kind.splits else "made of"


def _parameters(model: Artifact, name: str) -> int:
    """How many numbers a safetensors file holds; -1 where its header cannot be read."""
    try:
        length = int.from_bytes(model.read(name, 0, 8), "little")
        if not 0 < length <= HEADER:
            return -1
        header: dict[str, Any] = json.loads(model.read(name, 8, length))
        return sum(math.prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
    except (DamagedError, ValueError, TypeError, LookupError, AttributeError):
        return -1
