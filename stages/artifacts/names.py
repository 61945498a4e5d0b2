"""Names that people give: of runs, and so of the references to their results."""

ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
LONGEST = 200
"""Characters; file systems take 255 in a name, and some is added."""


def check_name(name: str) -> None:
    """ValueError if a name is no good for a reference."""
    if not is_name(name):
        shown = name if len(name) <= LONGEST else name[:LONGEST] + "..."
        raise ValueError(
            f"{shown!r} is no name for a reference: use lower-case words, digits, '-', '_' and '.', "
            f"{LONGEST} characters at most"
        )


def is_name(name: str) -> bool:
    """Whether it can name a reference: words of `ALLOWED`, with slashes between them."""
    return len(name) <= LONGEST and all(part.strip(".") and set(part) <= ALLOWED for part in name.split("/"))
