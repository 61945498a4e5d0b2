"""What a trace says of rows that were left out, and of what a web server answered, for all kinds alike."""

from collections.abc import Mapping
from typing import Any

from stages.kind import Lookup, Row, RowTrace

REASONS = ("reason", "rule", "detail", "merged_into", "row")
ANSWERS = ("asked", "status", "final_url", "signal", "signal_value", "signal_where", "signal_when")


def web_answer(lookup: Lookup, location: str) -> Mapping[str, Any]:
    """What the web said of a URL when it was last requested, opt-outs with where and when they were read."""
    for row in lookup("evidence/answers", "url", location):
        return {fact: row[fact] for fact in ANSWERS if row[fact] and row[fact] != location}
    return {}


def _facts(lookup: Lookup, row: Row) -> Mapping[str, Any]:
    reasons = {fact: row[fact] for fact in REASONS if row.get(fact)}
    return {**reasons, **web_answer(lookup, row["location"])}


REJECTS = RowTrace("rejects", "left out", facts=_facts)
"""Of every stage that drops rows."""
