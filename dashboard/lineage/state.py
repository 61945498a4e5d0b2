"""The state of an artifact, in a word for lists and graphs: damaged, dropped, on hold, released."""

from dataclasses import dataclass

from dashboard.catalogue import Contents
from stages.artifacts.artifact import Artifact


@dataclass(frozen=True)
class State:
    """What it is called, and the class of the style sheet that shows it."""

    words: str
    tone: str
    """"good", "warning", "bad", "plain" or "gone"."""


DAMAGED = State("damaged", "bad")
MADE_OF_DAMAGED = State("damaged input", "bad")
"""Something that it was made from is, at whatever remove."""
DROPPED = State("dropped", "gone")
ON_HOLD = State("on hold", "warning")
RELEASED = State("released", "good")
UNNAMED = State("no name", "plain")


def state_of(contents: Contents, artifact: Artifact) -> State:
    """The gravest of what is true of an artifact."""
    if artifact.fingerprint in contents.damaged_artifacts:
        return DAMAGED
    if artifact.dropped is not None:
        return DROPPED
    if artifact.fingerprint in contents.made_of_damaged:
        return MADE_OF_DAMAGED
    references = contents.references.get(artifact.fingerprint, ())
    if not references:
        return UNNAMED
    return ON_HOLD if all(is_on_hold(contents, each) for each in references) else RELEASED


def is_on_hold(contents: Contents, reference: str) -> bool:
    """Whether `@latest` passes over a version, "datasets/birds@3"."""
    name, _, number = reference.rpartition("@")
    return int(number) in contents.on_hold.get(name, ())
