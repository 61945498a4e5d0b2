"""Whoever runs a stage, as the stage sees them: they hear of progress, and may ask it to stop."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Wait:
    """What a stage waits for, in words for people; strangers' are escaped already."""

    subject: str
    """Whom or what for: a host, another process."""
    until: str
    """A moment, "03:12:40 UTC", or what has to happen."""
    reason: str = ""
    more: str = ""
    """What else waits: "2 hosts more"."""

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"waiting for {self.subject} until {self.until}{reason}{f', {self.more}' if self.more else ''}"


class Reporter(Protocol):
    """Whoever runs a stage: a flow, the command line, a test."""

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """Called often; `done` of `total` units of the stage's own choosing."""
        ...

    def stopping(self) -> bool:
        """Whether the stage shall end soon; what is finished is kept."""
        ...

    def warn(self, stage: str, words: str) -> None:
        """Something that a person should hear of, in a sentence; the work goes on."""
        ...

    def waiting(self, stage: str, wait: Wait) -> None:
        """Called now and then while a stage waits; notes of its progress say so too."""
        ...


class Silent:
    """Hears nothing and never stops."""

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """Nobody looks."""

    def stopping(self) -> bool:
        return False

    def warn(self, stage: str, words: str) -> None:
        """Nobody hears."""

    def waiting(self, stage: str, wait: Wait) -> None:
        """Nobody minds."""
