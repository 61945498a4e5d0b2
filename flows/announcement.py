"""Announcements: each version of a dataset is said once to whoever waits for it, by an event.

What was announced is a reference of its own, written after the event: a run that dies between the two
announces again, so that no new version goes unheard.
"""

from flows.events import ON_HOLD, REFRESHED, emit, version
from flows.step import Result, RunContext, entry_on_hold
from stages.artifacts.reference import ANNOUNCED, refer, references
from stages.store import open_store

KIND = "event"
"""Key of the note of what was announced otherwise than as refreshed: by which event."""


def announce(context: RunContext, dataset: Result, cause: str) -> bool:
    """Emit `dataset.refreshed`, or `dataset.held` where the version is on hold, unless that event was about
    this dataset the last time; whether it did.

    The payload names the version, and the reasons for which it is on hold, for who acts on it.

    Args:
        context: where results live, and the name.
        dataset: what there is now.
        cause: what brought it, in words; the version's name is set behind it.

    Raises:
        httpx.HTTPError: the server is away, or refuses the event.
    """
    store, name = open_store(context.store), f"datasets/{context.name}"
    entry = entry_on_hold(store, context.name, dataset.fingerprint)
    event = REFRESHED if entry is None else ON_HOLD
    history = references(store, f"{ANNOUNCED}{name}")
    alike = [before for before in history if before.note.get(KIND, REFRESHED) == event]
    if alike and alike[-1].digest == dataset.digest:
        return False
    number = version(context, name, dataset)
    facts = {"dataset": number, "cause": f"{cause} {number}"}
    if entry is None:
        emit(event, context, name, dataset, **facts)
        refer(store, f"{ANNOUNCED}{name}", dataset.open())
    else:
        emit(event, context, name, dataset, **facts, reasons="; ".join(entry.on_hold))
        refer(store, f"{ANNOUNCED}{name}", dataset.open(), {KIND: event})
    return True
