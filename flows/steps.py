"""The line: every step, what it reads, and what it takes from outside the store."""

from collections.abc import Mapping, Sequence
from typing import Any

from flows.step import Check, Step
from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Artifact, Digested
from stages.collect.collect import collect
from stages.collect.edition import note_of, previous_of
from stages.collect.sources.files import snapshot
from stages.config.collect import CollectConfig
from stages.config.run import EncodeConfig, EvaluateConfig, FilterConfig, ScoreConfig
from stages.dedup import dedup
from stages.encode import encode
from stages.evaluate import evaluate
from stages.filter import filter_
from stages.fingerprint import JSON
from stages.pretrained.clip import clip_snapshot
from stages.pretrained.files import autoencoder_input, text_input
from stages.pretrained.start import start_input
from stages.pretrained.text import labels_input, text_inputs
from stages.score import score
from stages.shard import shard
from stages.store import Store
from stages.takedown.records import takedowns
from stages.train.train import train


def _sources(
    store: Store, name: str, config: CollectConfig, read: Sequence[Artifact], check: Check
) -> list[Digested | None]:
    sources, gone = snapshot(config, check), takedowns(store)
    return [previous_of(store, name, config, sources, gone), sources, gone]


def _edition(config: CollectConfig, inputs: Sequence[Any]) -> Mapping[str, JSON]:
    previous, sources, gone = inputs
    return note_of(config, sources, gone, previous)


def _images_and_clip(
    store: Store, name: str, config: ScoreConfig, read: Sequence[Artifact], check: Check
) -> list[Digested | None]:
    return [*read, clip_snapshot(config.model, config.pretrained)]


def _scores_and_takedowns(
    store: Store, name: str, config: FilterConfig, read: Sequence[Artifact], check: Check
) -> list[Digested | None]:
    return [*read, takedowns(store)]


def _dataset_and_encoders(
    store: Store, name: str, config: EncodeConfig, read: Sequence[Artifact], check: Check
) -> list[Digested | None]:
    return [*read, autoencoder_input(store, config.autoencoder), text_input(config.text)]


def _encoding(config: EncodeConfig) -> bool:
    return bool(config.autoencoder or config.text)


def _what_train_reads(
    store: Store, name: str, config: TrainConfig, read: Sequence[Artifact], check: Check
) -> list[Any]:
    dataset, *others = read
    latents = others[0] if others else None
    start, texts, labels = (
        start_input(store, config.start),
        text_inputs(store, config),
        labels_input(store, config),
    )
    return [dataset, start, latents, texts, labels]


def _model_and_clip(
    store: Store, name: str, config: EvaluateConfig, read: Sequence[Artifact], check: Check
) -> list[Digested | None]:
    return [*read, clip_snapshot(config.clip, config.clip_pretrained)]


COLLECT = Step(collect, (), _sources, "images", _edition)
DEDUP = Step(dedup, ("collect",))
SCORE = Step(score, ("collect",), _images_and_clip, pool="gpu")
FILTER = Step(filter_, ("collect", "dedup", "score"), _scores_and_takedowns)
SHARD = Step(shard, ("collect", "filter"), reference="datasets")
ENCODE = Step(encode, ("shard",), _dataset_and_encoders, wanted=_encoding, pool="gpu")
TRAIN = Step(train, ("shard", "encode"), _what_train_reads, "models", pool="gpu")
EVALUATE = Step(evaluate, ("train", "shard"), _model_and_clip, "evaluations", pool="gpu")

STEPS: Mapping[str, Step] = {
    step.name: step for step in (COLLECT, DEDUP, SCORE, FILTER, SHARD, ENCODE, TRAIN, EVALUATE)
}
"""In order, by name; the names are those of `Run`'s fields."""
