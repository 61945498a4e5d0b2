"""How a collection is going, while it goes: speed, success by host and reason, time left, what is odd."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from stages.units import duration, file_size

WINDOW_SECONDS = 10.0
"""Speeds are means over the last seconds."""
RECENT = 400
"""Requests over which the success rate of the moment is taken."""
FALL = 0.25
"""A success rate of the moment that lies so much below that of the run before is worth a warning."""
DOMINATES = 0.5
"""A host with a greater share of the requests than this sets the pace of the whole run."""
MANY = 1000
"""Requests below which nobody need be warned of a dominating host."""


class CollectionProgress:
    """Counts what becomes of requests; safe to use from many threads."""

    def __init__(self, warn: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Progress statistics of nothing yet.

        Args:
            warn: gets a sentence, once, on what is odd.
            clock: seconds.
        """
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._total = 0
        self._done = 0
        self._good = 0
        self._bytes = 0
        self._reasons: Counter[str] = Counter()
        self._hosts: dict[str, list[int]] = {}  # host -> requests, pictures
        self._window: deque[tuple[float, int, int]] = deque()  # when, requests, bytes until then
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._warned: set[str] = set()

    def expect(self, requests: int, hosts: Counter[str]) -> None:
        """Announce a round: how many requests, and how many of them go to its greatest hosts."""
        with self._lock:
            self._total = self._done + requests
        for host, count in hosts.most_common(1):
            if requests >= MANY and count > DOMINATES * requests:
                self._warn_once(
                    f"{count / requests:.0%} of the URLs are at {host}: its limits set the pace of the run"
                )

    def count(self, host: str, reason: str, size: int) -> None:
        """Count one request: its host, why it brought nothing ("" where it did), bytes of the body."""
        now = self._clock()
        with self._lock:
            self._done += 1
            self._good += not reason
            self._bytes += size
            self._reasons[reason] += bool(reason)
            counts = self._hosts.setdefault(host, [0, 0])
            counts[0] += 1
            counts[1] += not reason
            self._recent.append(not reason)
            if not self._window or now - self._window[-1][0] >= 0.25:
                self._window.append((now, self._done, self._bytes))
                while now - self._window[0][0] > WINDOW_SECONDS:
                    self._window.popleft()
            fallen = self._fallen()
        if fallen:
            self._warn_once(fallen)

    def done(self) -> tuple[int, int]:
        """Requests answered, and expected."""
        with self._lock:
            return self._done, max(self._done, self._total)

    def note(self) -> str:
        """One line for whoever watches."""
        with self._lock:
            if not self._done or len(self._window) < 2:
                return ""
            (before, first, first_bytes), (now, last, last_bytes) = self._window[0], self._window[-1]
            span = max(now - before, 1e-9)
            speed = (last - first) / span
            words = [
                f"{speed:,.0f} images/s, {file_size((last_bytes - first_bytes) / span)}/s",
                f"{self._good / self._done:.0%} good",
            ]
            words += [f"{reason} {rows:,}" for reason, rows in self._reasons.most_common(2) if rows]
            worst = self._worst()
            words += [f"worst host {worst}"] if worst else []
            if speed > 0 and self._total > self._done:
                words.append(f"{duration((self._total - self._done) / speed)} left")
            return ", ".join(words)

    def _worst(self) -> str:
        shares = {host: good / total for host, (total, good) in self._hosts.items() if total >= 20}
        if len(self._hosts) < 2 or not shares:
            return ""
        host = min(shares, key=lambda host: shares[host])
        share = shares[host]
        return f"{host} {share:.0%}" if share < 0.5 else ""

    def _fallen(self) -> str:
        earlier = self._done - len(self._recent)
        if earlier < RECENT or self._done % 50:
            return ""
        now = sum(self._recent) / len(self._recent)
        before = (self._good - sum(self._recent)) / earlier
        if before - now < FALL:
            return ""
        most = ", ".join(reason for reason, _ in self._reasons.most_common(2))
        return f"the success rate has fallen from {before:.0%} to {now:.0%} (mostly {most})"

    def _warn_once(self, words: str) -> None:
        kind = words.split(":")[0] if "URLs are at" in words else "fallen"
        with self._lock:
            known = kind in self._warned
            self._warned.add(kind)
        if not known:
            self._warn(words)
