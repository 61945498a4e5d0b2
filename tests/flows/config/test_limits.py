"""A config keeps its limits, read from a file and made in Python; all mistakes of a file come at once."""

import dataclasses
import math
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from flows.config.values import run_of
from sdmodel.config.conditions import ClassColumnConfig, NumberColumnConfig
from sdmodel.config.limits import Config, ConfigError, annotations, bare, limits, spelled
from stages.config.cluster import ClusterConfig
from stages.config.collect import FolderSource, HostLimit, ParquetSource, TarSource, UrlSource
from stages.config.run import Run
from stages.forecast.pace import PaceConfig

ITEMS: dict[type, dict[str, Any]] = {
    Run: {"name": "a"},
    UrlSource: {"name": "web", "tables": ["a.csv"]},
    FolderSource: {"name": "a", "folder": "a"},
    TarSource: {"name": "a", "tars": ["a.tar"]},
    ParquetSource: {"name": "a", "tables": ["a.parquet"]},
    HostLimit: {"host": "a.org"},
    ClassColumnConfig: {"column": "a"},
    NumberColumnConfig: {"column": "a"},
}
"""What each config needs that has no defaults for all its fields."""


def blocks(owner: type = Run, path: tuple[str, ...] = ()) -> Iterator[tuple[type, tuple[str, ...]]]:
    """(config, keys that lead to it) of a config and of all within; items of lists are their first."""
    yield owner, path
    for name, annotation in annotations(owner).items():
        kind = bare(annotation)
        if typing.get_origin(kind) is tuple and dataclasses.is_dataclass(item := typing.get_args(kind)[0]):
            yield from blocks(typing.cast(type, item), (*path, name, "0"))
        elif dataclasses.is_dataclass(kind):
            yield from blocks(typing.cast(type, kind), (*path, name))


def fields(owner: type) -> Iterator[tuple[str, Any]]:
    """(key, annotation) of the values of a config; an item of a list is a value of its own."""
    for name, annotation in annotations(owner).items():
        yield name, annotation
        kind = bare(annotation)
        parts = typing.get_args(kind)
        if typing.get_origin(kind) is tuple and not dataclasses.is_dataclass(parts[0]):
            yield f"{name}.0", parts[0]
        elif typing.get_origin(kind) is dict:
            yield f"{name}.key", parts[1]


def beyond(limit: Any, kind: type) -> Any:
    """The nearest value that a limit forbids."""
    step = 1 if kind is int else 0
    match limit:
        case Ge(ge=bound):
            return bound - 1 if step else math.nextafter(typing.cast(float, bound), -math.inf)
        case Le(le=bound):
            return bound + 1 if step else math.nextafter(typing.cast(float, bound), math.inf)
        case Gt(gt=bound) | Lt(lt=bound):
            return bound
        case MinLen(min_length=length):
            return "a" * (length - 1) if kind is str else ["a"] * (length - 1)
        case MaxLen(max_length=length):
            return "a" * (length + 1) if kind is str else ["a"] * (length + 1)
        case _:
            return "\n"


def cases() -> Iterator[Any]:
    for owner, path in (*blocks(), (ClusterConfig, ()), (PaceConfig, ())):
        for key, annotation in fields(owner):
            for limit in limits(annotation):
                value = beyond(limit, bare(annotation))
                name = f"{'.'.join(path)}.{owner.__name__}.{key}-{limit}"
                yield pytest.param(owner, path, key, value, id=name)


def at(key: str, value: Any) -> dict[str, Any]:
    name, _, item = key.partition(".")
    return {name: value if not item else {item: value} if item == "key" else [value]}


def tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize(("owner", "path", "key", "value"), list(cases()))
def test_a_value_beyond_its_limit_is_refused(owner: type, path: tuple[str, ...], key: str, value: Any):
    wanted = f"{key}={spelled(tuples(value))} must be "
    made = {name: tuples(one) for name, one in (ITEMS.get(owner, {}) | at(key, value)).items()}
    with pytest.raises(ConfigError) as caught:
        owner(**made)
    assert wanted in str(caught.value)
    if owner in (ClusterConfig, PaceConfig):  # no part of a run
        return
    values: Any = ITEMS.get(owner, {}) | at(key, value)
    for part in reversed(path):
        values = [values] if part == "0" else {part: values}
    with pytest.raises(ValueError, match=r"^a file") as told:
        run_of(ITEMS[Run] | values, "a file")
    shown = wanted if owner is Run or key != "background" else wanted.removesuffix(" must be ")  # the run's
    assert ".".join([*path, shown]) in str(told.value)


@pytest.mark.parametrize("owner", sorted({owner for owner, _ in blocks()} | {ClusterConfig}, key=str))
def test_every_number_has_limits(owner: type):
    assert issubclass(owner, Config)
    for key, annotation in fields(owner):
        if bare(annotation) in (int, float):
            assert any(isinstance(limit, Ge | Gt) for limit in limits(annotation)), f"{owner}.{key}"


IMPOSSIBLE: dict[str, Any] = {
    "name": "Two Birds",
    "background": "white",
    "collect.limit": 0,
    "collect.agent": "a bot",
    "collect.min_side": 0,
    "collect.max_pixels": 10**12,
    "collect.max_aspect": 0.5,
    "collect.max_bytes": 0,
    "collect.max_cell_bytes": 10,
    "collect.max_row_bytes": 10**9,
    "collect.max_caption_chars": 0,
    "collect.placeholder_urls": 1,
    "collect.deadline": 0,
    "collect.retries": -1,
    "collect.patience": -1,
    "collect.part_rows": 0,
    "collect.connections": -1,
    "collect.per_second": -1,
    "collect.threads": 0,
    "dedup.max_bits": 4,
    "dedup.max_difference": 1.5,
    "dedup.part_rows": 0,
    "score.batch": 0,
    "score.part_rows": -1,
    "filter.max_words": 0,
    "filter.max_aspect": 0.5,
    "filter.min_similarity": 2,
    "filter.top_fraction": 0,
    "shard.validation": -0.1,
    "shard.test": 1.5,
    "shard.shard_rows": 0,
    "shard.max_side": 0,
    "encode.size": 0,
    "encode.buckets": 0,
    "encode.batch": 0,
    "train.images": 0,
    "train.batch": -1,
    "train.caption_dropout": 3,
    "train.checkpoint_every": 0,
    "train.price": -1,
    "train.trackers": ["neptune"],
    "train.data.colour": 1.5,
    "train.data.max_aspect": 0,
    "train.data.memory": -1,
    "train.network": "gan",
    "train.unet.channels": [],
    "train.dit.mlp": 0,
    "train.noise.deviation": 0,
    "train.text.dropout": 1,
    "train.text.heads": 0,
    "train.pretrain.mask": 1,
    "train.lora.rank": -1,
    "train.optimizer.muon_rate": -1,
    "train.optimizer.adam_rate": -1,
    "train.optimizer.warmup": -5,
    "train.optimizer.clip": -1,
    "train.ema.half_life": -1,
    "train.ema.ramp": 0,
    "train.validation.rows": 0,
    "train.guard.skips": -1,
    "evaluate.samples": -1,
    "evaluate.oracle": "delphi",
    "evaluate.sampling.guidance": -1,
    "evaluate.sampling.steps": 0,
    "evaluate.sampling.sampler": "plms",
    "evaluate.sampling.rescale": 2,
    "train.sampling.negative": "a" * 10_001,
    "evaluate.seed": -1,
}


def nested(values: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": "a"}
    for path, value in values.items():
        *blocks_, key = path.split(".")
        block = made
        for part in blocks_:
            block = block.setdefault(part, {})
        block[key] = value
    return made


@pytest.mark.parametrize("key", IMPOSSIBLE)
def test_what_is_impossible_is_refused_alone(key: str):
    with pytest.raises(ValueError, match=r"^a file: ") as caught:
        run_of(nested({key: IMPOSSIBLE[key]}), "a file")
    assert key in str(caught.value)
    assert spelled(tuples(IMPOSSIBLE[key])).strip("[]") in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"evaluate.oracle": "demo", "evaluate.oracle_samples": 0, "evaluate.samples": 0},
            "evaluate.oracle='demo', evaluate.oracle_samples=0: the oracle would see no picture",
        ),
        (
            {"evaluate.oracle": "two", "train.objective": "gan"},
            "evaluate.oracle='two', train.objective='gan': it reads what captions ask for",
        ),
        (
            {"evaluate.encoder": "models/eye", "train.objective": "text", "train.pretrain.masked": 1},
            "evaluate.encoder='models/eye', train.objective='text': samples are compared with pictures by it",
        ),
        (
            {"evaluate.prior": "standard", "train.objective": "autoencoder"},
            "evaluate.prior='standard', evaluate.oracle='': latents are drawn for an oracle",
        ),
        (
            {"evaluate.prior": "standard", "evaluate.oracle": "demo", "train.objective": "gan"},
            "evaluate.prior='standard', train.objective='gan': an autoencoder's latents are drawn from it",
        ),
        (
            {"evaluate.columns": ["shape"], "train.objective": "diffusion", "shard.columns": ["shape"]},
            "evaluate.columns=['shape'], train.objective='diffusion': image encoders are measured by labels",
        ),
        (
            {"evaluate.columns": ["shape"], "train.objective": "selfsupervised"},
            "evaluate.columns=['shape'], shard.columns=[]: labels come into the dataset by shard.columns",
        ),
        (
            {"evaluate.oracle": "demo", "evaluate.oracle_prompts": "both"},
            "evaluate.oracle_prompts='both', train.conditions.picture.source='': the model takes no picture",
        ),
        (
            {"evaluate.sampling.conditions": {"shape": 2}},
            "names ['shape'], which are no conditions of the model; name those of train.conditions",
        ),
        (
            {"train.encoder": "models/eye"},
            "train.encoder='models/eye', train.objective='diffusion': nothing would see pictures by",
        ),
        (
            {
                "train.encoder": "models/eye",
                "train.conditions.picture.source": "reference",
                "encode.autoencoder": "models/vae",
            },
            "train.conditions.picture.source='reference', encode.autoencoder='models/vae': pictures are seen",
        ),
        (
            {"train.conditions.numbers": [{"column": "beauty"}]},
            "numbers of the sources come into the dataset by shard.columns",
        ),
        (
            {"train.conditions.numbers": [{"column": "similarity"}]},
            "similarities are measured by a CLIP; set score.model",
        ),
        (
            {"collect.hosts": [{"host": "https://a.org"}]},
            "hosts.0.host='https://a.org' must be a host",
        ),
        ({"collect.hosts": [{"host": "a.org:80"}]}, "hosts.0.host='a.org:80' must be a host's name"),
    ],
)
def test_what_would_be_passed_over_or_fail_late_is_refused(values: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=re.escape(words)):
        run_of(nested(values), "a file")


def test_a_host_may_be_an_address():
    for host in ("127.0.0.1", "2001:db8::1", "*.a.org"):
        HostLimit(host=host)


def test_all_mistakes_of_a_file_come_in_one_message():
    together = {
        "filter.min_words": 9,
        "filter.max_words": 3,
        "train.fsdp": True,
        "train.optimizer.kind": "adamw8bit",
        "shard.validation": 0.5,
        "shard.test": 0.5,
        "score.background": "#000000",
    }
    impossible = {key: value for key, value in IMPOSSIBLE.items() if key not in together}
    with pytest.raises(ValueError, match=rf"{len(impossible) + 4} mistakes") as caught:
        run_of(nested(impossible | together), "a file")
    lines = str(caught.value).splitlines()[1:]
    for key in impossible:
        assert sum(f"  {key}" in line for line in lines) == 1, key
    for start in (
        "filter.min_words=9, filter.max_words=3: ",
        "train.fsdp=true, train.optimizer.kind='adamw8bit': ",
        "shard.validation=0.5, shard.test=0.5: ",
        "score.background='#000000', background='white': ",
    ):
        assert any(line.startswith(f"  {start}") for line in lines), start
