"""What all parts of a collection share: the way to the web, the decoders, the count of outcomes."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from stages.collect.progress import CollectionProgress
from stages.collect.rules import Rules
from stages.collect.sandbox import Sandbox
from stages.collect.web.fetcher import Fetcher

WIDTH = 3
"""Parts at once: the threads of one that waits for its last, slow answers are made up for by the others'."""


@dataclass
class FetchContext:
    """Shared by the threads of one process; a context manager, which ends the decoders.

    `cancelled` is set when the stage is left, however it is left: requests that are still to be made then
    fail at once, so that no thread outlives the stage by more than one exchange.
    """

    rules: Rules
    sandbox: Sandbox
    progress: CollectionProgress
    fetcher: Fetcher | None = None
    threads: int = 1
    """Downloads at once of one part."""
    patience: float = 10.0
    """Seconds that a request waits for its host's slot."""
    taken_down: Mapping[str, int] = field(default_factory=dict[str, int])
    """SHA-256 of bytes that were taken down -> number of the take-down."""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.sandbox.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.cancel()
        self.sandbox.__exit__(*error)

    def cancel(self) -> None:
        """Have every request from now on fail at once, and those that wait for their host's slot as well."""
        self.cancelled.set()
        if self.fetcher is not None:
            self.fetcher.close()
