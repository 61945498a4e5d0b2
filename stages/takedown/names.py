"""Names of pictures as people write them, in the form in which the store has them."""

import re
from collections.abc import Iterator

from stages.collect.web.url import normalise
from stages.takedown.records import FORMS, Name


def names_of(kind: str, value: str) -> Iterator[Name]:
    """A name in the form in which the store has it; of a URL also as it is spelt, as older versions kept.

    Args:
        kind: "url", "uid", "sha256" or "host".
        value: as somebody wrote it.

    Raises:
        ValueError: it is no name of that kind.
    """
    value = value.strip()
    if kind == "url":
        normal = normalise(value)
        yield Name("url", normal)
        if value != normal and FORMS["url"][0].fullmatch(value):
            yield Name("url", value)
    elif kind == "host":
        # An address without its scheme must not pass for its whole host.
        alone = re.fullmatch(r"[^/?#@\s]+", value)
        yield Name("host", normalise(f"http://{value}/").split("/")[2] if alone else value)
    else:
        yield Name(kind, value.lower())


def listed_names(text: str, origin: str) -> Iterator[Name]:
    """The names of a list, one a line, in any mixture of kinds; # begins a comment.

    Args:
        text: the list.
        origin: what messages call it.

    Raises:
        ValueError: a line is no name; says which.
    """
    for number, line in enumerate(text.splitlines(), 1):
        name = re.sub(r"(^|\s)#.*", "", line).strip()
        if not name:
            continue
        try:
            yield from names_of(_kind(name), name)
        except ValueError as error:
            raise ValueError(f"{origin}, line {number}: {name!r} is no name of a picture: {error}") from error


def _kind(text: str) -> str:
    """What a name is, by its form."""
    if "://" in text:
        return "url"
    if re.fullmatch(r"[0-9a-fA-F]+", text) and len(text) in (32, 64):
        return "uid" if len(text) == 32 else "sha256"
    if "." in text or text.startswith("["):
        return "host"
    raise ValueError("it is neither an address, nor 32 or 64 hex digits, nor a host")
