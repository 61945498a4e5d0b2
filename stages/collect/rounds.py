"""The rounds of fetching: everything once, then what failed and may pass, later, and never at once again.

A round is a set of parts. Which requests a round makes is recorded before it begins, so that a run that was
killed and started again continues the same rounds and fetches what was not finished, nothing else.
"""

import json
import random
import time
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from stages.collect.context import WIDTH, FetchContext
from stages.collect.fetch import fetch
from stages.collect.outcomes import FETCHES_FILE, OUTCOMES_FILE, iso
from stages.collect.row_groups import RowGroup
from stages.collect.state import CollectionState
from stages.collect.waits import wait_for_host, wait_for_round
from stages.collect.web.records import FetchRequest
from stages.config.collect import CollectConfig
from stages.engine import Threads
from stages.output import Output, Part, PartResult, PartSpec

PAUSE_SECONDS = 1.0
"""Before the first further round, give or take a half; doubled before each one after it."""
SLOT_SECONDS = (10.0, 30.0, 60.0)
"""Longest that a request waits for its host's slot in the first, the second and later rounds; what would
wait longer is left to the next round, so that others need not wait behind it."""
FIRST_ROUND = "fetch-0-"
"""How the keys of its parts begin."""
FREE_ROUNDS = 2
"""Rounds that do not count against `patience`: everything once, and once more what failed."""


now = time.time
"""Unix time, seconds."""


def first_attempt(out: Output, edition: list[str]) -> str:
    """When this edition was first attempted, ISO 8601, UTC: what is due is decided once, for all attempts.

    Args:
        out: records it.
        edition: digests of what names this edition.
    """

    def make(folder: Path) -> PartResult:
        (folder / "first_attempt.txt").write_text(iso(now()))
        return PartResult()

    part = out.part("first_attempt", [*edition, "first_attempt"], make)
    return part.read("first_attempt.txt").decode()


def fetch_all(
    state: CollectionState, config: CollectConfig, context: FetchContext, out: Output, edition: list[str]
) -> list[Part]:
    """Fetch everything that has no outcome yet, in rounds; the parts of all rounds.

    Args:
        state: gets what came, round by round.
        config: `part_rows`, `retries` and `patience`.
        context: fetches and judges.
        out: records the parts.
        edition: digests of what names this edition.
    """
    parts: list[Part] = []
    patience = config.patience
    groups = state.to_fetch("requests-0.parquet", config.part_rows)
    for number in range(1_000_000):
        started = time.monotonic()
        context.patience = min(SLOT_SECONDS[min(number, len(SLOT_SECONDS) - 1)], max(patience, 1.0))
        parts += _round(number, groups, state, config, context, out)
        if number >= FREE_ROUNDS:
            patience -= time.monotonic() - started
        slept = _back_off(state, out, number, patience)
        if slept is None:
            break
        patience -= slept
        groups = _due_requests(number + 1, state, config, out, edition)
    state.give_up()
    return parts


def _round(
    number: int,
    groups: list[RowGroup],
    state: CollectionState,
    config: CollectConfig,
    context: FetchContext,
    out: Output,
) -> list[Part]:
    if not groups:
        return []
    limited = config.connections or config.per_second
    hosts = state.largest_hosts(groups[0].file) if limited else Counter[str]()
    context.progress.expect(sum(group.rows for group in groups), hosts)
    inputs = {
        "rules": asdict(context.rules),
        "edition": config.edition,
        "agent": config.agent,
        "round": number,
    }
    title = f"round {number + 1}: " if number else ""

    def note() -> str:
        wait = wait_for_host(context.fetcher)
        if wait is not None:
            out.waiting(wait)
        return title + ", ".join(filter(None, [context.progress.note(), str(wait or "")]))

    parts = out.parts(
        [PartSpec(f"fetch-{number}-{group.group:05d}", [group.digest], group) for group in groups],
        partial(_fetch, context=context),
        Threads(WIDTH, context.cancel),
        config=inputs,
        note=note,
    )
    outcomes = [part.path(OUTCOMES_FILE) for part in parts]
    state.record(outcomes, [part.path(FETCHES_FILE) for part in parts], config.retries)
    return parts


def _fetch(folder: Path, group: RowGroup, context: FetchContext) -> PartResult:
    return fetch(folder, [_request(row) for row in group.read()], context)


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


def _back_off(state: CollectionState, out: Output, number: int, patience: float) -> float | None:
    """Sleep until another round makes sense; seconds slept, or None where there shall be none.

    The back-off doubles from round to round, with jitter, and is longer where a host's Retry-After is.
    """
    pending, due = state.pending()
    if not pending:
        return None
    pause = PAUSE_SECONDS * 2 ** min(number, 6) * random.uniform(0.5, 1.5)
    if due:
        until = datetime.fromisoformat(due).timestamp() - time.time()
        pause = max(pause, until)
    if pause > patience:
        return None
    words = "1 URL is" if pending == 1 else f"{pending:,} URLs are"
    end, wait = time.monotonic() + pause, wait_for_round(state.pending_hosts(), now() + pause)
    while (remaining := end - time.monotonic()) > 0:
        out.check()
        out.waiting(wait)
        out.progress(0, 0, f"{words} requested again, {wait}")
        time.sleep(min(0.5, remaining))
    return pause


def _due_requests(
    number: int, state: CollectionState, config: CollectConfig, out: Output, edition: list[str]
) -> list[RowGroup]:
    """The requests of a further round: those that are due when it is first reached, on record."""

    def make(folder: Path) -> PartResult:
        return PartResult(statistics={"requests": state.write_due(iso(time.time()), folder / "due.parquet")})

    part = out.part(f"round-{number}", [*edition, f"round-{number}"], make)
    return state.to_fetch_again(part.path("due.parquet"), f"requests-{number}.parquet", config.part_rows)
