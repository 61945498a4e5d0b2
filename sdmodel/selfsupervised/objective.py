"""The self-supervised objective: an image encoder that learns from pictures alone, or from a few labels
beside them, by one of four methods, each in a file of its own."""

import json
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.losses import METRIC, is_loss
from sdmodel.pretrain.labels import Labels
from sdmodel.selfsupervised import encoder
from sdmodel.selfsupervised.comparison import ViewComparison
from sdmodel.selfsupervised.masked_autoencoder import MaskedAutoencoder
from sdmodel.selfsupervised.pretext_task import PretextTask
from sdmodel.selfsupervised.rotation import TURNS
from sdmodel.selfsupervised.rotation_prediction import RotationPrediction
from sdmodel.selfsupervised.row_classes import RowClasses
from sdmodel.selfsupervised.tower import SHAPE, heavy
from sdmodel.weights import submodule_weights

HEAD = "head.safetensors"


def task_of(config: SelfSupervisedConfig, classes: RowClasses | None) -> PretextTask[Any]:
    """The method that a config names, weights drawn from torch's global generator.

    classes: of rows, for the supervised method alone."""
    match config.method:
        case "contrastive" | "supervised":
            return ViewComparison(config, classes)
        case "masked":
            return MaskedAutoencoder(config)
        case "rotation":
            return RotationPrediction(config)


class SelfSupervisedObjective:
    """Trains an image encoder; `save` writes it, and the head for trainings that start from it. Captions are
    not used."""

    readers = ()
    sample = None
    enough = None
    players = ()

    def __init__(self, config: TrainConfig, labels: Path | None = None, uids: Collection[str] | None = None):
        """labels: table of uids and labels, for the supervised method; uids: of the rows to learn from, None
        is all of that table. ValueError: there are no such labels."""
        self.config = config
        self.modules = task_of(config.selfsupervised, _classes(config.selfsupervised, labels, uids))

    @property
    def whole_batch(self) -> bool:
        """Where pictures are compared."""
        return self.config.selfsupervised.compares

    @property
    def heavy(self) -> list[nn.Module]:
        """The encoder, or its blocks."""
        return heavy(self.modules.encoder)

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """The loss, over the batch at hand (where pictures are compared, smaller batches are easier), and of
        a metric its sum and the rows that it is of."""
        sums = {name: value.double() * len(batch) for name, value in self.modules(batch).items()}
        rows = torch.full_like(next(iter(sums.values())), len(batch))
        return {
            name.removeprefix(METRIC): value if is_loss(name) else torch.stack([value, rows])
            for name, value in sums.items()
        }

    def start(self, folder: Path) -> None:
        """Takes the encoder from a folder that `save` wrote, and the head where it is one for the same.

        ValueError: it holds another kind or shape of model."""
        mine, theirs = self.config.selfsupervised, encoder.read_config(folder)
        same_task = set(_head_shape(mine)) == set(_head_shape(theirs))
        saved, expected = (
            _tower_shape(config) | (_head_shape(config) if same_task else {}) for config in (theirs, mine)
        )
        if saved != expected:
            raise ValueError(
                f"{folder}: holds an encoder of {saved}; the config's selfsupervised asks for {expected}"
            )
        self.modules.encoder.load_state_dict(load_file(folder / encoder.WEIGHTS))
        if same_task:
            self.modules.head.load_state_dict(load_file(folder / HEAD))

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes encoder.safetensors, head.safetensors and config.json."""
        for part, file in (("encoder.", encoder.WEIGHTS), ("head.", HEAD)):
            save_file(submodule_weights(weights, part), folder / file)
        shape = {"size": self.config.size, "selfsupervised": asdict(self.config.selfsupervised)}
        config = {"kind": encoder.KIND, "model": shape}
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _classes(
    config: SelfSupervisedConfig, table: Path | None, uids: Collection[str] | None
) -> RowClasses | None:
    """Of the supervised method. ValueError: there is no table of labels, or it lacks them."""
    if config.method != "supervised":
        return None
    if table is None:
        raise ValueError("selfsupervised.method='supervised': there is no table of labels to learn from")
    block = "selfsupervised"
    return RowClasses(Labels.read(table, config.columns, config.labelled, rows=uids, block=block))


def _tower_shape(config: SelfSupervisedConfig) -> dict[str, Any]:
    """What decides the shapes of the encoder's weights."""
    return {"tower": config.tower, **{name: getattr(config, name) for name in SHAPE[config.tower]}}


def _head_shape(config: SelfSupervisedConfig) -> dict[str, Any]:
    """What decides the shapes of the head's weights; other keys are another head's."""
    match config.method:
        case "contrastive" | "supervised":
            return {"embedding": config.embedding}
        case "masked":
            return {"masked": replace(config.masked, share=0.75)}  # which has no part in shapes
        case "rotation":
            return {"turns": TURNS}
