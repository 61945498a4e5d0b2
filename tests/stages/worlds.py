"""Demo-world datasets through the real stages, and untrained models, for tests of train and evaluate."""

import csv
import dataclasses
from pathlib import Path
from typing import Any

from sdmodel.config.learning import EmaConfig, OptimizerConfig
from sdmodel.config.model import ContrastiveConfig, UNetConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Artifact, Funnel
from stages.collect.collect import collect
from stages.collect.sources.files import snapshot
from stages.config.collect import CollectConfig, FolderSource
from stages.config.run import DedupConfig, FilterConfig, ScoreConfig, ShardConfig
from stages.dedup import dedup
from stages.demo.pairs import clean_folder
from stages.filter import filter_
from stages.output import Output
from stages.score import score
from stages.shard import shard
from stages.stage import Stats, stage
from stages.store import Store

TINY = TrainConfig(
    images=1280,
    batch=32,
    size=16,
    checkpoint_every=256,
    text=TextConfig(width=16, heads=2, queries=2, vocabulary=300),
    unet=UNetConfig(channels=(8, 16)),
    contrastive=ContrastiveConfig(embedding=8, image_width=4, text_width=16, text_layers=1, text_heads=2),
    optimizer=OptimizerConfig(warmup=64),
    processes=1,
    device="cpu",
)


def dataset(
    store: Store,
    folder: Path,
    *,
    rows: int = 60,
    seed: int = 5,
    captioned: int = 1,
    licence: str = "",
    columns: tuple[str, ...] = (),
    **splits: float,
) -> Artifact:
    """Clean pictures of 32 to 48 pixels in a folder, collected, filtered without CLIP, and packed.

    captioned: every so many-th picture has its caption, in a text beside it; 0: none has.
    columns: of the world's attributes, as labels; then all have captions or none."""
    bare = bool(columns) and not captioned
    clean_folder(folder, rows, seed, sides=(32, 48), captioned=0.0 if bare else 1.0)
    if captioned != 1 and not bare:
        table = csv.DictReader((folder / "metadata.csv").read_text().splitlines())
        texts = {row["file_name"]: row["text"] for row in table}
        (folder / "metadata.csv").unlink()
        for name in sorted(texts)[::captioned] if captioned else []:
            (folder / name).with_suffix(".txt").write_text(texts[name])
    config = CollectConfig(
        folders=(FolderSource(name="world", folder=str(folder), licence=licence),), workers=1
    )
    images = collect(None, snapshot(config), None, config, store=store)
    duplicates = dedup(images, DedupConfig(workers=1), store=store)
    scores = score(images, None, ScoreConfig(), store=store)
    rules = FilterConfig(captions="required" if captioned == 1 else "optional")
    selection = filter_(images, duplicates, scores, None, rules, store=store)
    shares = {"validation": 0.15, "test": 0.15, **splits}
    return shard(
        images, selection, ShardConfig(shard_rows=25, workers=1, columns=columns, **shares), store=store
    )


def model(
    store: Store, dataset: Artifact, config: TrainConfig = TINY, encoder: Path | None = None
) -> Artifact:
    """What train would write after no image.

    encoder: folder of the image encoder that it sees pictures by."""
    import torch

    from sdmodel.objectives import objective_of
    from sdmodel.train.ema import WeightAverages

    @stage(version=1, kind="model", name="train")
    def untrained(dataset: Artifact, config: TrainConfig, out: Output) -> Stats:
        torch.manual_seed(config.seed)
        objective = objective_of(
            config,
            [one["text"] for row in dataset.table("index")["captions"] for one in row],
            encoder=encoder,
        )
        with torch.no_grad():  # what begins at zero would draw one picture for all captions and noise
            for parameter in objective.modules.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        objective.save(
            out.write("model/any").parent, WeightAverages(objective.modules, EmaConfig(), 1).weights()
        )
        return Stats(Funnel(0, 0))

    return untrained(dataset, config, store=store)


def changed(**values: Any) -> TrainConfig:
    """The tiny training with other choices."""
    return dataclasses.replace(TINY, **values)
