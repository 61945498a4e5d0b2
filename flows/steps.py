"""The line: every step in order, and what it reads. What else a stage is to a run stands with the stage."""

from collections.abc import Mapping

from flows.step import Step
from stages.collect.collect import collect
from stages.dedup import dedup
from stages.encode import encode
from stages.evaluate import evaluate
from stages.filter import filter_
from stages.score import score
from stages.shard import shard
from stages.train.train import train

COLLECT = Step(collect)
DEDUP = Step(dedup, ("collect",))
SCORE = Step(score, ("collect",))
FILTER = Step(filter_, ("collect", "dedup", "score"))
SHARD = Step(shard, ("collect", "filter"))
ENCODE = Step(encode, ("shard",))
TRAIN = Step(train, ("shard", "encode"))
EVALUATE = Step(evaluate, ("train", "shard"))

STEPS: Mapping[str, Step] = {
    step.name: step for step in (COLLECT, DEDUP, SCORE, FILTER, SHARD, ENCODE, TRAIN, EVALUATE)
}
"""In order, by name; the names are those of `Run`'s fields."""
