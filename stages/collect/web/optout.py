"""Opt-out signals in the headers of an answer: what they say against taking it for training.

X-Robots-Tag has no standard; its forms are those that Google documents
(developers.google.com/search/docs/crawling-indexing/robots-meta-tag): several lines, lists, a crawler's name
before what is meant for it. `noai` and `noimageai` come from DeviantArt, `noml` from Mojeek.

Preferences are those of the IETF's AIPREF drafts (draft-ietf-aipref-vocab-08, draft-ietf-aipref-attach-05):
`Content-Usage: train-ai=n`. The labels of their earlier versions and those of Cloudflare's Content-Signal
(`ai-train=no`) are understood alike, and both are read more leniently than structured fields are (RFC 9651):
a wish that is clear to a person binds.

TDM-Reservation is that of the TDM Reservation Protocol (W3C community group, 10 May 2024).
"""

import re
from collections.abc import Iterator, Sequence
from http.client import HTTPMessage

from stages.collect.web.records import OptOutSignal
from stages.config.collect import OptOut

QUOTED_CHARACTERS = 300
"""Of a site's words that are kept as evidence."""
BINDING = frozenset({"none", "noindex", "noimageindex", "noai", "noimageai", "noml"})
"""Directives of X-Robots-Tag that bind us: no to indexing, no to learning. `none` is noindex, nofollow."""
PREFERENCE_HEADERS = ("Content-Usage", "Content-Signal")

_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_EVERYONE = frozenset({"*", "robots"})
_NAME = re.compile(r"[a-z_*-][a-z0-9_.*-]*(?:/\S*)?")
_TRAINING = frozenset({"train-ai", "train-genai", "ai-train"})
_BROADER = frozenset({"bots", "all"})
_ANSWERS = {"n": True, "no": True, "y": False, "yes": False}


def refusal_in_headers(
    headers: HTTPMessage, url: str, agent: str, obey: Sequence[OptOut], when: str
) -> OptOutSignal | None:
    """The first signal in an answer's headers that says no to us; None where there is none.

    Args:
        headers: of the answer, whatever its status.
        url: that was requested.
        agent: our name, by which X-Robots-Tag can address us; compared without regard to case.
        obey: the kinds that bind; `robots` has no header.
        when: the moment of the answer, ISO 8601, UTC.
    """
    if "x-robots-tag" in obey:
        for line in _lines(headers, "X-Robots-Tag"):
            words = _binding(line, agent)
            if words is not None:
                words = line if len(line) <= QUOTED_CHARACTERS else words
                return OptOutSignal("x-robots-tag", quoted(words), f"header X-Robots-Tag of {url}", when)
    if "aipref" in obey:
        for name in PREFERENCE_HEADERS:
            line = ", ".join(_lines(headers, name))  # several lines are one list (RFC 9651, 4.2)
            if reserves_training(line):
                return OptOutSignal("aipref", quoted(line), f"header {name} of {url}", when)
    if "tdmrep" in obey:
        for line in _lines(headers, "TDM-Reservation"):
            if "1" in [part.strip() for part in line.split(",")]:
                return OptOutSignal("tdmrep", quoted(line), f"header TDM-Reservation of {url}", when)
    return None


def reserves_training(expression: str) -> bool | None:
    """Whether a statement of preferences says no to training a generative model; None where it does not say.

    No to training binds whatever else is said; yes to it stands against a no to something broader. Of a label
    given twice the last counts; values other than y, yes, n and no say nothing (draft-ietf-aipref-vocab).

    Args:
        expression: as "train-ai=n, search=y", without a path before it.
    """
    refusals: dict[str, bool | None] = {}
    for part in expression.split(","):
        label, _, value = part.partition(";")[0].partition("=")
        refusals[label.strip().lower()] = _ANSWERS.get(value.strip().lower())
    for labels in (_TRAINING, _BROADER):
        answers = {refusals.get(label) for label in labels}
        if True in answers:
            return True
        if False in answers:
            return False
    return None


def quoted(words: str) -> str:
    """A site's words as evidence keeps them: on one line, not too many."""
    return " ".join(words.split())[:QUOTED_CHARACTERS]


def _lines(headers: HTTPMessage, name: str) -> list[str]:
    return [str(line) for line in headers.get_all(name) or ()]


def _binding(line: str, agent: str) -> str | None:
    """The directive of one X-Robots-Tag line that binds us, as it stands there."""
    for name, directive in _directives(line):
        ours = name in _EVERYONE or name.partition("/")[0] == agent.lower()
        if ours and not BINDING.isdisjoint(re.split(r"[\s;]+", directive.lower())):
            return directive if name == "*" else f"{name}: {directive}"
    return None


def _directives(line: str) -> Iterator[tuple[str, str]]:
    """The directives of one line without those that take a value, each with the crawler it is meant for.

    A crawler's name holds for what follows it on its line. A date may have a comma and colons of its own: its
    pieces are no names, having spaces.
    """
    name = "*"
    for piece in line.split(","):
        *names, directive = piece.split(":")
        for before in names:
            before = before.strip().lower()
            if before in _VALUED or not _NAME.fullmatch(before):
                break
            name = before
        else:
            yield name, directive.strip()
