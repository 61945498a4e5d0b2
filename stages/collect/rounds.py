"""The rounds of fetching: everything once, then what failed and may pass, later, and never at once again.

A round is a set of parts. Which questions a round asks is recorded before it begins, so that a run that was
killed and started again continues the same rounds and asks for what was not finished, nothing else.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from stages.collect.context import WIDTH, FetchContext
from stages.collect.fetch import fetch
from stages.collect.outcomes import HEARD, TABLE, iso
from stages.collect.state import CollectionState, RowGroup
from stages.collect.web.records import FetchRequest
from stages.config.collect import CollectConfig
from stages.engine import Threads
from stages.output import Made, Output, Part, PartSpec

PAUSE_SECONDS = 1.0
"""Before the first further round, give or take a half; doubled before each one after it."""
TURN_SECONDS = (10.0, 30.0, 60.0)
"""Longest that a question waits for its host's turn in the first, the second and later rounds; what would
wait longer is left to the next round, so that others need not wait behind it."""
FIRST_ROUND = "fetch-0-"
"""How the keys of its parts begin."""
FREE_ROUNDS = 2
"""Rounds that do not count against `patience`: everything once, and once more what failed."""


now = time.time
"""Unix time, seconds."""


def began(out: Output, asked: list[str]) -> str:
    """When this edition was first attempted, ISO 8601, UTC: what is due is decided once, for all attempts."""

    def make(folder: Path) -> Made:
        (folder / "began.txt").write_text(iso(now()))
        return Made()

    part = out.part("began", [*asked, "began"], make)
    return part.read("began.txt").decode()


def fetch_all(
    state: CollectionState, config: CollectConfig, context: FetchContext, out: Output, asked: list[str]
) -> list[Part]:
    """Ask for everything that the state wants, in rounds; the parts of all rounds.

    Args:
        state: learns what came, round by round.
        config: `part_rows`, `retries` and `patience`.
        context: fetches and judges.
        out: records the parts.
        asked: digests of what names this edition.
    """
    parts: list[Part] = []
    left = config.patience
    questions = state.to_ask("asked-0.parquet", config.part_rows)
    for number in range(1_000_000):
        started = time.monotonic()
        context.patience = min(TURN_SECONDS[min(number, len(TURN_SECONDS) - 1)], max(left, 1.0))
        parts += _round(number, list(questions), state, config, context, out)
        if number >= FREE_ROUNDS:
            left -= time.monotonic() - started
        slept = _wait(state, out, number, left)
        if slept is None:
            break
        left -= slept
        questions = _again(number + 1, state, config, out, asked)
    state.give_up()
    return parts


def _round(
    number: int,
    questions: list[RowGroup],
    state: CollectionState,
    config: CollectConfig,
    context: FetchContext,
    out: Output,
) -> list[Part]:
    if not questions:
        return []
    spared = config.connections or config.per_second
    hosts = state.hosts_of(questions[0].file) if spared else Counter[str]()
    context.progress.expect(sum(one.rows for one in questions), hosts)
    asked = {
        "rules": asdict(context.rules),
        "edition": config.edition,
        "agent": config.agent,
        "round": number,
    }
    make = partial(_fetch, context=context)
    note = f"round {number + 1}: " if number else ""
    parts = out.parts(
        _specs(number, questions),
        make,
        Threads(WIDTH, context.cancel),
        config=asked,
        note=lambda: note + context.progress.note(),
    )
    tables, answers = [part.path(TABLE) for part in parts], [part.path(HEARD) for part in parts]
    state.learn(tables, answers, config.retries)
    return parts


def _specs(number: int, questions: list[RowGroup]) -> Iterator[PartSpec]:
    for one in questions:
        yield PartSpec(f"fetch-{number}-{one.group:05d}", [one.digest], one)


def _fetch(folder: Path, questions: RowGroup, context: FetchContext) -> Made:
    return fetch(folder, [_request(row) for row in questions.read()], context)


def _request(row: dict[str, Any]) -> FetchRequest:
    policy = json.loads(row["policy"])
    return FetchRequest(
        key=row["key"],
        url=row["url"],
        obey=tuple(policy["obey"]),
        networks=tuple(policy["networks"]),
        etag=row["etag"],
        last_modified=row["last_modified"],
    )


def _wait(state: CollectionState, out: Output, number: int, left: float) -> float | None:
    """Sleep until another round makes sense; seconds slept, or None where there shall be none."""
    pending, due = state.pending()
    if not pending:
        return None
    pause = PAUSE_SECONDS * 2 ** min(number, 6) * random.uniform(0.5, 1.5)
    if due:
        until = datetime.fromisoformat(due).timestamp() - time.time()
        pause = max(pause, until)
    if pause > left:
        return None
    end = time.monotonic() + pause
    while (remaining := end - time.monotonic()) > 0:
        out.check()
        out.progress(0, 0, f"{pending:,} URLs are asked again in {remaining:.0f} s")
        time.sleep(min(0.5, remaining))
    return pause


def _again(
    number: int, state: CollectionState, config: CollectConfig, out: Output, asked: list[str]
) -> Iterator[RowGroup]:
    """The questions of a further round: those that are due when it is first reached, on record."""

    def make(folder: Path) -> Made:
        return Made(statistics={"questions": state.due(iso(time.time()), folder / "due.parquet")})

    part = out.part(f"round-{number}", [*asked, f"round-{number}"], make)
    return state.to_ask_again(part.path("due.parquet"), f"asked-{number}.parquet", config.part_rows)
