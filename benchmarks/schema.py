"""Rows of results: one schema for all benchmarks; tests/test_benchmarks.py holds what is committed to it."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
MORE_IS_BETTER = {
    "1/s": True,
    "of": True,
    "MFU": True,
    "s": False,
    "ms": False,
    "MiB": False,
    "%": False,
    "requests": False,
    "elements": False,
}
"""First word of a row's unit -> whether a greater figure is the better one."""
NOWHERE = "not measured"
"""Machine of a row that is not measured."""
SMALLEST = 0.01
"""A figure of which less is better counts as no less than this, so that none divides by zero."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison, of a system with another or with a bound that is set for it."""

    name: str
    """What was measured, on what."""
    unit: str
    """A word of `MORE_IS_BETTER`; after it what a reader should know beside it."""
    ours: float | None
    """None: not measured."""
    peer: float
    """The other's figure, or the bound."""
    peer_name: str
    """Who or what that is; of a bound, that it is one."""
    ratio: float | None
    """Our advantage: above 1 ours is better. None: not measured."""
    goal: float
    """The least ratio that satisfies."""
    date: str
    """ISO 8601, UTC."""
    machine: str
    """On which it was measured; `NOWHERE`: it was not."""

    @property
    def measured(self) -> bool:
        """Whether there is a figure."""
        return self.ours is not None

    @property
    def met(self) -> bool:
        """Whether the goal is reached; what is not measured is neither reached nor missed."""
        return self.ratio is None or self.ratio >= self.goal


def row(name: str, unit: str, ours: float, peer: float, peer_name: str, goal: float = 1.0) -> Row:
    """What was measured here and now, as a row; ValueError for a unit without a direction."""
    word = unit.replace(",", " ").replace(";", " ").split()[0]
    if word not in MORE_IS_BETTER:
        raise ValueError(f"unit {unit!r} must begin with one of {', '.join(MORE_IS_BETTER)}")
    ratio = ours / peer if MORE_IS_BETTER[word] else peer / max(ours, SMALLEST)
    return Row(
        name=name,
        unit=unit,
        ours=round(ours, 2),
        peer=round(peer, 2),
        peer_name=peer_name,
        ratio=round(ratio, 3),
        goal=goal,
        date=datetime.now(UTC).date().isoformat(),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[2]:.1f}",
    )


def not_measured(name: str, unit: str, peer: float, peer_name: str, goal: float = 1.0) -> Row:
    """A row whose machine nobody had, with what is asked of it."""
    return replace(row(name, unit, peer, peer, peer_name, goal), ours=None, ratio=None, machine=NOWHERE)


def read(path: Path) -> list[Row]:
    """The rows of a file; TypeError for a field too many or too few."""
    return [Row(**fields) for fields in json.loads(path.read_text())]


def write(path: Path, rows: Iterable[Row]) -> None:
    """Replace a file's rows."""
    path.write_text(json.dumps([asdict(one) for one in rows], indent=1) + "\n")


def update(path: Path, rows: Iterable[Row]) -> None:
    """Put rows in the place of those of the same name; the others stay."""
    named = {one.name: one for one in (*(read(path) if path.exists() else ()), *rows)}
    write(path, (named[name] for name in sorted(named)))


def report(rows: Iterable[Row]) -> int:
    """Print rows; a process's exit status, 1 where a goal was missed."""
    missed = 0
    for one in rows:
        if one.ours is None:
            print(f"{one.name}: not measured; {one.peer:g} ({one.peer_name}), {one.unit}", flush=True)
            continue
        verdict = "" if one.met else ", MISSED"
        print(f"{one.name}: {one.ours:g} against {one.peer:g} ({one.peer_name}), {one.unit}")
        print(f"    ratio {one.ratio:g}, goal {one.goal:g}{verdict}", flush=True)
        missed += not one.met
    return int(missed > 0)
