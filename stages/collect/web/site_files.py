"""Small files that sites have at agreed paths, as robots.txt: fetched when needed, and cached.

Each is fetched once however many threads want it, and again when it is too old: after what its Cache-Control
says, but no less than an hour and no more than a day (RFC 9309, 2.4).
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar
from urllib.parse import urljoin

from stages.collect.web.errors import FetchError, PermanentError, fetch_error
from stages.collect.web.optout import quoted
from stages.collect.web.records import FetchRequest, Response
from stages.collect.web.url import normalise
from stages.config.collect import OptOut
from stages.reasons import Reason

Get = Callable[[str, FetchRequest, int], Response]
"""(url, for whose sake, most bytes of the body) -> one answer, redirects not followed; raises FetchError."""

MAX_FETCHED = 2_000_000
"""Bytes above which such a file counts as one that cannot be read."""
MAX_REDIRECTS = 5
"""That RFC 9309 (2.3.1.2) wants followed; they may lead to other hosts."""
LONGEST_CACHED = 24 * 3600.0
SHORTEST_CACHED = 3600.0
FAILURE_CACHED = (2.0, 60.0)
"""Seconds for which a file that could not be read is not fetched again: the first time, and at most
(exponential back-off)."""
MEMORY = 512_000_000
"""Bytes that cached files may take, OVERHEAD each besides their own: some 200,000 sites. Those that were not
wanted for longest go first, to be asked again if they are."""
OVERHEAD = 1500

_OF_THE_HOST = frozenset({Reason.FORBIDDEN_ADDRESS, Reason.NO_SUCH_NAME, Reason.HOST_SET_ASIDE})
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)


class Content(Protocol):
    """The parsed content of a site's file."""

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        ...


T = TypeVar("T", bound=Content)


@dataclass(frozen=True)
class SiteFile(Generic[T]):
    """A site's file as it was last fetched."""

    url: str
    fetched_at: str
    """ISO 8601, UTC."""
    until: float
    """Unix time at which it is too old."""
    status: int = 0
    """0 where no answer came."""
    bytes: int = 0
    """Of the answer's body."""
    content: T | None = None
    """None where the site has none, and where it could not be read."""
    failure: FetchError | None = None
    patience: float = 0.0
    """Seconds for which a failure is kept; the next one is kept for twice as long."""


@dataclass
class _CacheEntry(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Locked by the thread that fetches."""
    files: dict[tuple[str, ...], SiteFile[T]] = field(default_factory=dict[tuple[str, ...], SiteFile[T]])
    """By the networks that may be connected to: they can decide what can be read."""
    size: int = 0


class SiteFileCache(Generic[T]):
    """A cache of the files of all sites at one path, the least recently used dropped first. Thread-safe."""

    def __init__(
        self,
        get: Get,
        clock: Callable[[], float],
        path: str,
        read: Callable[[bytes], T],
        failing: frozenset[int],
    ) -> None:
        """An empty cache.

        Args:
            get: one GET, held to the host's limits.
            clock: Unix time, seconds.
            path: of the file on each site.
            read: takes any bytes.
            failing: statuses that say nothing of the file, and may pass. With others than these and 2xx a
                site has no such file.
        """
        self._get = get
        self._failing = failing
        self._clock = clock
        self._path = path
        self._read = read
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _CacheEntry[T]] = OrderedDict()
        self._size = 0

    def url_for(self, url: str) -> str:
        """Where the site of a normalised URL has the file."""
        return "/".join(url.split("/", 3)[:3]) + self._path

    def of(self, request: FetchRequest, kind: OptOut) -> SiteFile[T]:
        """The file of the site of a request's URL, for the kind of signal that is wanted.

        Raises:
            FetchError: ROBOTS_UNREACHABLE where it could not be read; what the exchange says where the host
                itself is out of question: its address is forbidden, it has no address, it is set aside.
        """
        url = self.url_for(request.url)
        with self._lock:
            entry = self._entries.setdefault(url, _CacheEntry())
            self._entries.move_to_end(url)
        file = self._fresh(entry, request)
        if file is None:
            with entry.lock:
                file = self._fresh(entry, request)
                if file is None:
                    file = self._fetched(url, request, entry.files.get(request.networks))
                    entry.files[request.networks] = file
                    self._account(url, entry)
        if file.failure is not None:
            why = file.failure
            rule = f"obey={kind}" if why.reason == Reason.ROBOTS_UNREACHABLE else why.rule
            raise fetch_error(
                why.reason, why.detail, rule, why.retry_at
            )  # anew: several threads may raise it
        return file

    def cached(self, url: str) -> SiteFile[T] | None:
        """The cached file of a URL's site, if there is one with content."""
        with self._lock:
            entry = self._entries.get(self.url_for(url))
        files = list(entry.files.values()) if entry else []
        return next((file for file in files if file.content is not None), None)

    def all(self) -> list[SiteFile[T]]:
        """Every file in the cache."""
        with self._lock:
            return [file for entry in self._entries.values() for file in list(entry.files.values())]

    def _fresh(self, entry: _CacheEntry[T], request: FetchRequest) -> SiteFile[T] | None:
        file = entry.files.get(request.networks)
        return file if file is not None and self._clock() < file.until else None

    def _account(self, url: str, entry: _CacheEntry[T]) -> None:
        with self._lock:
            if self._entries.get(url) is not entry:
                return
            size = OVERHEAD + sum(file.content.size for file in entry.files.values() if file.content)
            self._size += size - entry.size
            entry.size = size
            while self._size > MEMORY and len(self._entries) > 1:
                self._size -= self._entries.popitem(last=False)[1].size

    def _fetched(self, url: str, request: FetchRequest, before: SiteFile[T] | None) -> SiteFile[T]:
        """The file as it is now, or why it cannot be read."""
        first, longest = FAILURE_CACHED
        patience = min(max(first, 2 * before.patience), longest) if before else first
        try:
            answer = self._followed(url, request)
        except FetchError as error:
            now, when = self._moment()
            if error.reason == Reason.HOST_SET_ASIDE:  # told without a request: no need to keep it
                return SiteFile(url, when, now, failure=_without_traceback(error))
            failure = _unreachable(url, error, now + patience)
            return SiteFile(url, when, now + patience, failure=failure, patience=patience)
        now, when = self._moment()
        if answer.status in self._failing:
            words = quoted(f"{url} was answered {answer.status} {answer.reason}")
            failure = fetch_error(Reason.ROBOTS_UNREACHABLE, words, retry_at=now + patience)
            return SiteFile(url, when, now + patience, answer.status, failure=failure, patience=patience)
        until = now + _seconds_cached(answer)
        if not 200 <= answer.status < 300:
            return SiteFile(url, when, until, answer.status)
        return SiteFile(url, when, until, answer.status, len(answer.body), self._read(answer.body))

    def _moment(self) -> tuple[float, str]:
        now = self._clock()
        return now, datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _followed(self, url: str, request: FetchRequest) -> Response:
        """The answer behind the redirects; where they lead nowhere, the last of them."""
        answer = self._get(url, request, MAX_FETCHED)
        for _ in range(MAX_REDIRECTS):
            if answer.location is None:
                break
            try:
                target = normalise(urljoin(answer.url, answer.location))
            except ValueError:
                break
            try:
                answer = self._get(target, request, MAX_FETCHED)
            except PermanentError as error:
                # The site itself is not out of question, only where it leads.
                raise fetch_error(Reason.BAD_ANSWER, f"{target}: {error.reason}: {error.detail}") from error
        return answer


def _unreachable(url: str, error: FetchError, until: float) -> FetchError:
    """The failure to fetch a file, as it stands against the pictures of its site."""
    if error.reason in _OF_THE_HOST:
        return _without_traceback(error)
    words = quoted(f"{url} could not be read: {error.reason}: {error.detail}")
    return fetch_error(Reason.ROBOTS_UNREACHABLE, words, retry_at=max(error.retry_at or until, until))


def _without_traceback(error: FetchError) -> FetchError:
    """An error without the traceback that raised it, which would stay in memory with it."""
    return fetch_error(error.reason, error.detail, error.rule, error.retry_at)


def _seconds_cached(answer: Response) -> float:
    max_age = _MAX_AGE.search(str(answer.headers.get("Cache-Control", "")))
    seconds = float(max_age[1]) if max_age else LONGEST_CACHED
    return min(max(seconds, SHORTEST_CACHED), LONGEST_CACHED)
