"""Whoever runs a stage, as the stage sees them: they hear of progress, and may ask it to stop."""

from typing import Protocol


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


class Silent:
    """Hears nothing and never stops."""

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """Nobody looks."""

    def stopping(self) -> bool:
        return False

    def warn(self, stage: str, words: str) -> None:
        """Nobody hears."""
