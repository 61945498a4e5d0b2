"""Names that people give: of runs, and so of the references to their results."""

import re

_WORD = r"\.*[a-z0-9_-][a-z0-9_.-]*"
PATTERN = f"{_WORD}(?:/{_WORD})*"
"""Words with slashes between them; a word is more than dots."""
MEANING = "lower-case words, digits, '-', '_' and '.', with '/' between words"
LONGEST = 200
"""Characters; file systems take 255 in a name, and some is added."""


def check_name(name: str) -> None:
    """ValueError if a name is no good for a reference."""
    if not is_name(name):
        shown = name if len(name) <= LONGEST else name[:LONGEST] + "..."
        raise ValueError(f"{shown!r} is no name for a reference: use {MEANING}, {LONGEST} characters at most")


def is_name(name: str) -> bool:
    """Whether it can name a reference: see `PATTERN`."""
    return len(name) <= LONGEST and re.fullmatch(PATTERN, name) is not None
