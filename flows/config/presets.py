"""Named runs: functions that return a Run."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from sdmodel.config.conditions import ClassColumnConfig, ConditionsConfig
from sdmodel.config.learning import ValidationConfig
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.train import TrainConfig
from stages.config.collect import CollectConfig, UrlSource
from stages.config.evaluate import EvaluateConfig
from stages.config.run import FilterConfig, Run, ScoreConfig, ShardConfig
from stages.demo.rates import LABELS

CLIP = f"local-dir:{Path(__file__).parents[2] / 'stages' / 'demo' / 'clip'}"
"""The small CLIP that ships with the demo, trained by `examples/demo_clip.yaml` on clean pairs of another
seed."""

SIMILARITY = 0.75
"""Below it a caption of the demo world is somebody else's; chosen on a site of another seed, see
docs/LOG.md."""

FILTER = FilterConfig(captions="valid", min_words=2, min_similarity=SIMILARITY)
"""A tenth of the demo's pictures come without a caption, and are learned from all the same."""
CONDITIONS = ConditionsConfig(columns=tuple(ClassColumnConfig(column=name) for name in LABELS))
"""Beside the caption: half of the pictures that have one, and more than half of the others, have labels."""

PROMPTS = (
    "small red circle, top left, plain background",
    "a large yellow crescent in the top right on a dotted background",
    "the cross is orange and medium, in the top left; the background is gradient",
    "in the bottom left of a checkered background, a large blue star",
    "at the centre there is a ring, green and large; striped background",
    "there is a purple triangle of medium size at the bottom right of this plain picture",
)
"""Drawn as the training goes on."""


def demo(table: str, store: str) -> Run:
    """The demo: 8,500 rows of a picture world with planted defects, nine in ten with captions, trained on for
    some minutes."""
    return Run(
        name="demo",
        store=store,
        collect=_collected(table, part_rows=1000),
        score=ScoreConfig(model=CLIP),
        filter=FILTER,
        shard=ShardConfig(validation=0.02, test=0.02, columns=LABELS),
        train=TrainConfig(
            images=140_000,
            conditions=CONDITIONS,
            validation=ValidationConfig(every=20_000, rows=128, prompts=PROMPTS),
        ),
        evaluate=EvaluateConfig(
            oracle="demo", oracle_samples=512, samples=48, validation_rows=128, clip=CLIP
        ),
    )


def ddpm(table: str, store: str, schedule: Literal["linear", "cosine"] = "linear") -> Run:
    """The demo's world, learned as Ho et al. 2020 (arXiv:2006.11239) teach: the network predicts the noise at
    1,000 timesteps, each as often, and pictures are drawn by ancestral sampling. With the variances of Nichol
    and Dhariwal 2021 (arXiv:2102.09672) where the schedule is "cosine"."""
    run = demo(table, store)
    train = replace(
        run.train,
        noise=NoiseConfig(schedule=schedule, prediction="epsilon"),
        sampling=SamplingConfig(sampler="ddpm", steps=100, guidance=3.0),
    )
    return replace(run, name="ddpm", train=train, evaluate=replace(run.evaluate, oracle_samples=128))


def ddpm_cosine(table: str, store: str) -> Run:
    """`ddpm` with the cosine schedule."""
    return replace(ddpm(table, store, "cosine"), name="ddpm-cosine")


def smoke(table: str, store: str) -> Run:
    """The whole line in about 90 seconds, Prefect's start included: it shows that everything works, not what
    it can."""
    return Run(
        name="smoke",
        store=store,
        collect=_collected(table, part_rows=100),
        score=ScoreConfig(model=CLIP, part_rows=100),
        filter=FILTER,
        shard=ShardConfig(validation=0.05, test=0.05, shard_rows=100, columns=LABELS),
        train=TrainConfig(
            images=2560,
            conditions=CONDITIONS,
            checkpoint_every=640,
            sampling=SamplingConfig(steps=6),
            validation=ValidationConfig(every=1280, rows=16, prompts=PROMPTS[:2]),
        ),
        evaluate=EvaluateConfig(
            oracle="demo", oracle_samples=32, samples=16, validation_rows=16, part_rows=16, clip=CLIP
        ),
    )


ROWS = {"demo": 8500, "ddpm": 8500, "ddpm-cosine": 8500, "smoke": 500}
"""Rows of the demo site that each preset collects."""

PRESETS = {"demo": demo, "ddpm": ddpm, "ddpm-cosine": ddpm_cosine, "smoke": smoke}


def _collected(table: str, part_rows: int) -> CollectConfig:
    """Every rule of the web holds, but the demo's sites are on this machine and need not be spared."""
    web = UrlSource(name="web", tables=(table,), columns=("row", *LABELS), allow_networks=("127.0.0.0/8",))
    return CollectConfig(
        urls=(web,), part_rows=part_rows, retries=2, connections=0, per_second=0, deadline=3.0, patience=60.0
    )
