"""Mutations of valid images: one verdict each, the same in any company, and decoders that stay small."""

import random

import psutil
import pytest

from benchmarks import hostile_bodies as hostile
from stages.collect.rules import Rules
from stages.collect.sandbox import Sandbox
from stages.config.collect import CollectConfig
from stages.reasons import Reason

RULES = Rules.of(CollectConfig())
MUTATED = [seed for seed in range(47) if seed % (len(hostile.MUTATIONS) + 1) < len(hostile.MUTATIONS)][:40]


def test_forty_hostile_bodies() -> None:
    bodies = [hostile.body(seed)[1] for seed in MUTATED]
    assert bodies == [hostile.body(seed)[1] for seed in MUTATED]  # a seed names them
    others = set(psutil.Process().children())
    with Sandbox(1, RULES) as sandbox:
        alone = [verdict for body in bodies for verdict in sandbox.judge([body])]
        together = sandbox.judge(bodies)
        (cell,) = set(psutil.Process().children()) - others
        assert cell.memory_info().rss < 200_000_000
    assert len(alone) == 40
    assert alone == together
    for verdict in alone:
        assert bool(verdict.reason) != bool(verdict.sha256)
        assert verdict.reason == "" or Reason(verdict.reason) != Reason.DECODER_FAILED


@pytest.mark.parametrize("bomb", [hostile.tiff_in_circles, hostile.exif_in_circles, hostile.avif_in_boxes])
def test_what_refers_to_itself_ends(bomb: object) -> None:
    assert callable(bomb)
    with Sandbox(1, RULES) as sandbox:
        (verdict,) = sandbox.judge([bomb(random.Random(0))])
    assert verdict.reason in (Reason.BLANK, Reason.UNDECODABLE)
