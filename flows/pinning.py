"""References in a config become numbered versions once, when a flow starts: what is newest may change while
it runs, and a retry or a repetition must mean the same."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdmodel.config.conditions import ConditionsConfig
from sdmodel.config.limits import ConfigError
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from stages.artifacts.reference import number_of
from stages.config.encode import EncodeConfig
from stages.config.evaluate import EvaluateConfig
from stages.config.run import Run
from stages.config.starts import own_models, starts_of
from stages.pretrained.files import autoencoder_config, check_fits
from stages.store import Store, open_store


def pinned(run: Run) -> Run:
    """A run whose references to models and tables of clusters name versions by their numbers.

    ValueError: one of them is not there, or pictures of the run's size do not fit its autoencoder."""
    train, encode, evaluate = (
        pinned_config(run.store, run.name, config) for config in (run.train, run.encode, run.evaluate)
    )
    return replace(run, train=train, encode=encode, evaluate=evaluate)


def pinned_config(store: str, name: str, config: Any) -> Any:
    """The same of one step's config; those of other steps than encode, train and evaluate hold no
    references.

    Args:
        store: URL of where models are; opened only where something is looked up.
        name: of the run.
        config: of the step.

    Raises:
        ValueError: as `pinned`, or it starts from the newest model of the run's own name.
    """
    if isinstance(config, TrainConfig):
        _check_starts(name, starts_of(config))
        clusters = _pinned(store, "train.pretrain.clusters", config.pretrain.clusters)
        return replace(
            config,
            start=_pinned(store, "train.start", config.start),
            continue_from=_pinned(store, "train.continue_from", config.continue_from),
            encoder=_pinned(store, "train.encoder", config.encoder),
            text=_pinned_text(store, "train.text", config.text),
            texts=tuple(
                _pinned_text(store, f"train.texts[{n}]", text) for n, text in enumerate(config.texts)
            ),
            pretrain=replace(config.pretrain, clusters=clusters),
            conditions=_pinned_labels(store, config.conditions),
        )
    if isinstance(config, EncodeConfig):
        encoders = {"encode.autoencoder": config.autoencoder, "encode.encoder": config.encoder}
        _check_starts(name, encoders)
        return _pinned_encoder(store, config)
    if isinstance(config, EvaluateConfig):
        return replace(config, encoder=_pinned(store, "evaluate.encoder", config.encoder))
    return config


def _check_starts(name: str, starts: Mapping[str, str]) -> None:
    if mistakes := list(own_models(name, starts)):
        raise ConfigError(name, mistakes)


def _pinned_text(store: str, key: str, config: TextConfig) -> TextConfig:
    return replace(config, start=_pinned(store, f"{key}.start", config.start))


def _pinned_labels(store: str, config: ConditionsConfig) -> ConditionsConfig:
    key = "train.conditions.columns: pseudo.labels"
    columns = (
        replace(each, pseudo=replace(each.pseudo, labels=_pinned(store, key, each.pseudo.labels)))
        for each in config.columns
    )
    return replace(config, columns=tuple(columns))


def _pinned_encoder(store: str, config: EncodeConfig) -> EncodeConfig:
    pinned = replace(
        config,
        autoencoder=_pinned(store, "encode.autoencoder", config.autoencoder),
        encoder=_pinned(store, "encode.encoder", config.encoder),
    )
    if config.autoencoder:
        check_fits(pinned, autoencoder_config(lambda: _opened(store), pinned.autoencoder))
    return pinned


def _pinned(store: str, key: str, text: str) -> str:
    if not text or Path(text).is_dir():
        return text
    try:
        return number_of(_opened(store), text)
    except ValueError as error:
        raise ValueError(f"{key}={text!r} is no folder here, and {error}") from error


def _opened(store: str) -> Store:
    return open_store(store, writable=False)
