"""What all parts of a collection share: the way to the web, the decoders, the count of outcomes."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from stages.collect.judge import Rules
from stages.collect.sandbox import Sandbox
from stages.collect.tally import Tally
from stages.collect.web.opener import Opener, installed

WIDTH = 3
"""Parts at once: the threads of one that waits for its last, slow answers are made up for by the others'."""


@dataclass
class Crew:
    """Shared by the threads of one process.

    `ending` is set when the stage is left, however it is left: questions that are still to be asked then fail
    at once, so that no thread outlives the stage by more than one exchange.
    """

    rules: Rules
    sandbox: Sandbox
    tally: Tally
    opener: Opener | None = None
    threads: int = 1
    """Downloads at once of one part."""
    patience: float = 10.0
    """Seconds that a question waits for its host's turn."""
    forgotten: Mapping[str, int] = field(default_factory=dict[str, int])
    """SHA-256 of bytes that were taken down -> number of the take-down."""
    ending: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def web(self) -> Generator[None]:
        """While the block lasts, `urllib.request.urlopen` of this process goes through the opener."""
        if self.opener is None:
            yield
            return
        with installed(self.opener):
            try:
                yield
            finally:
                self.leave()

    def leave(self) -> None:
        """Have whatever is asked from now on fail at once, and what waits for its host's turn as well."""
        self.ending.set()
        if self.opener is not None:
            self.opener.close()
