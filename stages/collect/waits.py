"""What a collection waits for, in words for people: for which host, until when and why."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from stages.collect.web.fetcher import Fetcher
from stages.foreign_text import escape
from stages.reasons import Reason
from stages.reporter import Wait

LEAST_SECONDS = 2.0
"""Waits for a host that are over sooner are its pace, and not worth a word."""

_REASONS = {
    Reason.HOST_SET_ASIDE: "it is given a rest",
    Reason.ROBOTS_UNREACHABLE: "its robots.txt could not be read",
}


def wait_for_host(fetcher: Fetcher | None) -> Wait | None:
    """What requests wait for at this moment, within a round; None where nothing lasts."""
    wait = fetcher.longest_wait(LEAST_SECONDS) if fetcher is not None else None
    if wait is None:
        return None
    return Wait(escape(wait.host), moment(time.time() + wait.seconds), wait.reason, _more(wait.others))


def wait_for_round(pending: Sequence[tuple[str, str, bool]], until: float) -> Wait:
    """What a collection waits for between two rounds.

    Args:
        pending: as `CollectionState.pending_hosts`, not empty.
        until: Unix time at which the next round begins.
    """
    host, reason, named = pending[0]
    words = "it asked us to wait" if named else _REASONS.get(Reason(reason), f"{reason} before")
    return Wait(escape(host), moment(until), words, _more(len(pending) - 1))


def moment(time_of: float) -> str:
    """A time of today as "03:12:40 UTC", another with its day.

    Args:
        time_of: Unix time; rounded to whole seconds.
    """
    when, today = datetime.fromtimestamp(round(time_of), UTC), datetime.now(UTC).date()
    return when.strftime("%H:%M:%S UTC" if when.date() == today else "%Y-%m-%d %H:%M:%S UTC")


def _more(others: int) -> str:
    return f"{others:,} host{'s' if others > 1 else ''} more" if others else ""
