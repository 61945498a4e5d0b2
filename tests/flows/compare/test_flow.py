"""The comparison's flow, with its steps replaced: what runs when, and what a failure ends."""

import threading
from typing import Any

import pytest

from flows.compare import flow
from flows.compare.cases import MODES, Case, Comparison
from tests.flows.compare.test_figures import case

KINDS: Any = ("rnn", "gru", "lstm", "cnn")


class Steps:
    """Remembers what began."""

    def __init__(self, patch: pytest.MonkeyPatch, failing: str = "") -> None:
        self.failing = failing
        self.begun: list[tuple[str, str, int]] = []
        self.side_by_side = threading.Barrier(2)
        self.over = threading.Event()
        patch.setattr(flow, "dataset", lambda run: run.name)
        patch.setattr(flow, "speed", self.speed)
        patch.setattr(flow, "pretrained", self.pretrained)
        patch.setattr(flow, "drawing", self.drawing)

    def speed(self, comparison: Any, run: Any, pictures: Any, kind: str, learns: bool) -> dict[str, Any]:
        assert self.begun == []  # nothing disturbs a measurement
        return {"images_per_second": 100.0 if learns else 200.0}

    def pretrained(self, comparison: Any, run: Any, pictures: str, kind: Any, mode: str, seed: int) -> Case:
        self.begun.append((kind, mode, seed))
        if kind == self.failing:
            raise ValueError(f"no {kind}")
        if self.failing:
            self.over.wait(300)
        elif comparison.at_once == 2:
            self.side_by_side.wait(300)  # for ever, unless two chains run together
        assert pictures == ("text-emoji" if mode == "emoji" else "text-two")
        return case(kind, mode, seed)

    def drawing(
        self, comparison: Any, run: Any, pictures: Any, kind: Any, mode: str, seed: int, told: dict[str, Any]
    ) -> Case:
        self.begun.append((kind, mode, seed))
        assert told["images_per_second"] == (200.0 if mode == "frozen" else 100.0)
        return case(kind, mode, seed)


def test_every_case_is_made_in_order_of_its_chain(monkeypatch: pytest.MonkeyPatch):
    steps = Steps(monkeypatch)
    found = flow.compare_text.fn(Comparison(pictures="two", emoji="emoji", kinds=KINDS, seeds=2))
    expected = [
        (kind, mode, seed) for seed in range(2) for kind in KINDS for mode in ("pretrained", "emoji", *MODES)
    ]
    assert [(one.kind, one.mode, one.seed) for one in found] == steps.begun == expected


def test_chains_run_side_by_side(monkeypatch: pytest.MonkeyPatch):
    Steps(monkeypatch)
    found = flow.compare_text.fn(Comparison(pictures="two", kinds=KINDS, seeds=1, at_once=2))
    assert len(found) == 4 * (1 + len(MODES))


def test_after_a_failure_no_other_chain_begins(monkeypatch: pytest.MonkeyPatch):
    """Of two lanes, while the other one's chain is still at work."""
    steps = Steps(monkeypatch, failing="gru")
    with pytest.raises(ValueError, match="no gru"):
        flow.compare_text.fn(Comparison(pictures="two", kinds=KINDS, seeds=3, at_once=2))
    begun = [kind for kind, _, _ in steps.begun]
    steps.over.set()
    assert begun in (["rnn", "gru"], ["rnn", "gru", "lstm"])  # the failed one's lane may have gone on by then
