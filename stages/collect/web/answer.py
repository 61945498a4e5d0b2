"""What is asked of the web and what comes back: plain data that the parts of fetching hand to each other.

FetchError
├── PassingError   (a RetryableError) the same question may be answered later: `RETRYABLE` reasons
└── LastingError   (a FinalError) it will be answered alike
"""

from dataclasses import dataclass, field
from http.client import HTTPMessage

from stages.config.collect import OptOut
from stages.errors import FinalError, RetryableError
from stages.reasons import RETRYABLE, Reason


class FetchError(Exception):
    """A question that brought no picture. `failed` makes the right kind of it."""

    def __init__(self, reason: Reason, detail: str, rule: str = "", retry_at: float | None = None) -> None:
        """An error.

        Args:
            reason: the row's reason.
            detail: what was found, alike whenever the same is found.
            rule: the config that decided, as "obey=robots"; "" where none did.
            retry_at: Unix time, seconds, before which the host does not want to be asked again.
        """
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.rule = rule
        self.retry_at = retry_at


class PassingError(FetchError, RetryableError):
    """Another try may succeed."""


class LastingError(FetchError, FinalError):
    """Another try will fail alike."""


def failed(reason: Reason, detail: str, rule: str = "", retry_at: float | None = None) -> FetchError:
    """The error of a reason: whether it may pass is a type."""
    kind = PassingError if reason in RETRYABLE else LastingError
    return kind(reason, detail, rule, retry_at)


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """One URL to fetch."""

    key: str
    """Names the question: one for each distinct URL and policy, [0-9a-f]+."""
    url: str
    """Normalised."""
    obey: tuple[OptOut, ...] = ()
    """Opt-out signals that bind."""
    networks: tuple[str, ...] = ()
    """Networks that may be connected to although they are not public."""
    etag: str = ""
    """Of the bytes that are held, to ask only for others; "" where there are none."""
    last_modified: str = ""
    """Likewise."""


@dataclass(frozen=True)
class Signal:
    """Evidence of an opt-out: what a site said, where, and when it was read."""

    kind: OptOut
    value: str
    """Its own words: the matching line or header value, at most 300 characters."""
    where: str
    """URL of the robots.txt or tdmrep.json, or "header X-Robots-Tag of URL"."""
    when: str
    """ISO 8601, UTC, seconds."""


@dataclass(frozen=True)
class Response:
    """One answer of a server, redirects not followed."""

    url: str
    status: int
    reason: str
    """The server's words for the status."""
    headers: HTTPMessage
    body: bytes
    """Decoded from its Content-Encoding."""
    address: str
    """That was connected to."""


@dataclass(kw_only=True)
class FetchRecord:
    """Everything remembered of one question, for judging, for evidence, for the next edition."""

    key: str
    url: str
    final_url: str = ""
    status: int = 0
    """0 where no answer came."""
    asked: str = ""
    """When the URL itself was asked for: ISO 8601, UTC, seconds; "" where it never was (its site forbids it,
    its host is set aside)."""
    seconds: float = 0.0
    address: str = ""
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""
    bytes: int = 0
    unchanged: bool = False
    """304: the bytes that are held are still right."""
    reason: Reason | None = None
    """None where a body came, or nothing has changed."""
    rule: str = ""
    detail: str = ""
    retry_at: float | None = None
    """Unix time, seconds, before which the host does not want to be asked again."""
    signal: Signal | None = None
    """The opt-out that stopped it."""
    hops: list[str] = field(default_factory=list[str])
    """URLs that redirected, in order."""
