"""Take-downs as of this moment: asked whenever a picture is about to be shown.

`Contents` is up to a second old; a take-down counts from the moment of its record. So the records are listed
at every question, and read again when there is a new one.
"""

import threading

from dashboard.takedowns.forbidden import Forbidden
from stages.store import Store
from stages.takedown.records import records


class TakedownWatch:
    """Knows which pictures are forbidden now; safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._keys: list[str] | None = None
        self._forbidden = Forbidden.of([])

    def forbidden(self) -> Forbidden:
        """What is forbidden at this moment. DamagedError: a record cannot be read, and nothing may be
        shown."""
        keys = [listed.key for listed in self._store.list("takedowns")]
        with self._lock:
            if keys != self._keys:
                self._forbidden, self._keys = Forbidden.of(records(self._store)), keys
            return self._forbidden
