"""What a trace says of rows that were left out, and of the last fetch of a URL, for all kinds alike."""

from collections.abc import Mapping
from typing import Any

from stages.kind import Lookup, Row, RowTrace

REASONS = ("reason", "rule", "detail", "merged_into", "row")
LAST_FETCH = ("requested_at", "status", "final_url", "signal", "signal_value", "signal_where", "signal_when")


def last_fetch(lookup: Lookup, location: str) -> Mapping[str, Any]:
    """The last fetch of a URL, opt-outs with where and when they were read."""
    for row in lookup("evidence/fetches", "url", location):
        return {fact: row[fact] for fact in LAST_FETCH if row[fact] and row[fact] != location}
    return {}


def _facts(lookup: Lookup, row: Row) -> Mapping[str, Any]:
    reasons = {fact: row[fact] for fact in REASONS if row.get(fact)}
    return {**reasons, **last_fetch(lookup, row["location"])}


REJECTS = RowTrace("rejects", "left out", facts=_facts)
"""Of every stage that drops rows."""
