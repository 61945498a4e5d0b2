"""Conditions beside the caption that other steps of a run than its training must know of."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sdmodel.config.limits import Mistake

if TYPE_CHECKING:
    from stages.config.run import Run

NUMBERS = (
    *("width", "height", "original_width", "original_height"),
    *("multiplicity", "similarity", "sampling_weight"),
)
"""Columns of numbers of every dataset's index."""


def condition_conflicts(run: "Run") -> Iterator[Mistake]:
    """What is asked of the model and it would not know, or what of its pictures the dataset would not say:
    it would come out after hours."""
    conditions, evaluate = run.train.conditions, run.evaluate
    numbers = {each.column for each in conditions.numbers}
    if numbers - {*NUMBERS, *run.shard.columns}:
        yield run.mistake(
            "numbers of the sources come into the dataset by shard.columns; name them there, too",
            *("train.conditions.numbers", "shard.columns"),
        )
    if "similarity" in numbers - set(run.shard.columns) and not run.score.model:
        yield run.mistake(
            "similarities are measured by a CLIP; set score.model, or leave this number out",
            *("train.conditions.numbers", "score.model"),
        )
    if conditions.picture.source and run.encode.autoencoder:
        yield run.mistake(
            "pictures are seen in pixels, and a training on latents has none; leave one of both out",
            *("train.conditions.picture.source", "encode.autoencoder"),
        )
    if evaluate.oracle_prompts != "text" and conditions.picture.source not in ("reference", "prior"):
        yield run.mistake(
            'the model takes no picture; teach it with source "reference" or "prior", or ask by text',
            *("evaluate.oracle_prompts", "train.conditions.picture.source"),
        )
    if unknown := sorted(set(evaluate.sampling.conditions or ()) - set(conditions.names)):
        yield run.mistake(
            f"names {unknown}, which are no conditions of the model; name those of train.conditions",
            "evaluate.sampling.conditions",
        )
