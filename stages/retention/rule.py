"""The rule of retention: which versions of a name stay."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from stages.artifacts.reference import Reference
from stages.config.retention import RetainConfig


def versions_to_keep(
    history: Sequence[Reference], on_hold: Sequence[int], rule: RetainConfig, now: datetime
) -> Mapping[int, str]:
    """Which versions stay by the rule, and why: number -> reason.

    The newest `last` that are not on hold stay, and those on hold that are newer than the oldest of these,
    but no more than as many: else a gate that refuses every night would fill the disk. Of each of the last
    `monthly` months the newest that is not on hold stays. So does the highest number, whatever it is, so that
    no number is given twice.

    Args:
        history: of the name, oldest first.
        on_hold: numbers of the versions that `@latest` passes over.
        rule: what the user says; `last` is 1 or more.
        now: aware; the months are counted from here, in UTC.

    Raises:
        ValueError: `last` is 0, by which every version stays.
    """
    if not rule.last:
        raise ValueError("retention with last=0 keeps every version; say how many of the newest stay")
    usable = [entry for entry in history if entry.number not in on_hold]
    newest = usable[-rule.last :]
    waiting = [
        entry
        for entry in history
        if entry.number in on_hold and (not newest or entry.number > newest[0].number)
    ]
    keep = {entry.number: "on hold" for entry in waiting[-rule.last :]}
    if history:
        keep.setdefault(history[-1].number, "the highest number")
    by_month = {_month(datetime.fromisoformat(entry.time)): entry for entry in usable}
    for back in range(rule.monthly):
        entry = by_month.get(_month(now) - back)
        if entry is not None:
            keep[entry.number] = f"the newest of {entry.time[:7]}"
    words = "the newest" if rule.last == 1 else f"of the newest {rule.last}"
    return {**keep, **{entry.number: words for entry in newest}}


def words_of(rule: RetainConfig) -> str:
    """The rule as messages have it: "last 7, monthly 12"."""
    return f"last {rule.last}" + (f", monthly {rule.monthly}" if rule.monthly else "")


def _month(time: datetime) -> int:
    """Calendar months, counted on, of a time in UTC."""
    time = time.astimezone(UTC)
    return 12 * time.year + time.month
