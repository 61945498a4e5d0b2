"""Rows of results: what was measured, ours and the peer's."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parents[1] / "results" / "collect.json"


def row(
    name: str,
    unit: str,
    ours: float,
    goal: float,
    peer: float | None = None,
    peer_name: str | None = None,
    *,
    less_is_better: bool = False,
) -> dict[str, Any]:
    """One row; `ratio` is above 1 where ours is better."""
    ratio = None
    if peer is not None:
        ratio = round(peer / ours if less_is_better else ours / peer, 3)
    return {
        "name": name,
        "unit": unit,
        "ours": round(ours, 1),
        "peer": None if peer is None else round(peer, 1),
        "peer_name": peer_name,
        "ratio": ratio,
        "goal": goal,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def keep(rows: list[dict[str, Any]]) -> None:
    """Put rows in the place of those of the same name."""
    before = json.loads(RESULT.read_text()) if RESULT.exists() else []
    names = {one["name"] for one in rows}
    kept = [one for one in before if one["name"] not in names]
    RESULT.write_text(json.dumps(sorted([*kept, *rows], key=lambda one: one["name"]), indent=1) + "\n")
