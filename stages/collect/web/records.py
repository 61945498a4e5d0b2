"""Requests, responses and records of fetching: plain data that the parts of the HTTP client hand to each
other."""

from dataclasses import dataclass, field
from http.client import HTTPMessage

from stages.config.collect import OptOut
from stages.reasons import Reason

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """A URL to fetch, and under what policy."""

    key: str
    """Names the request: one for each distinct URL and policy, [0-9a-f]+."""
    url: str
    """Normalised."""
    obey: tuple[OptOut, ...] = ()
    """Opt-out signals that bind."""
    networks: tuple[str, ...] = ()
    """Networks that may be connected to although they are not public."""
    etag: str = ""
    """Validator of the bytes that an earlier edition has, for a conditional request; "" where there are
    none."""
    last_modified: str = ""
    """A validator, too, for servers without ETags."""


@dataclass(frozen=True)
class OptOutSignal:
    """Evidence of an opt-out: the site's words, where they stand, and when they were read."""

    kind: OptOut
    value: str
    """The site's own words: the matching line or header value, at most 300 characters."""
    where: str
    """URL of the robots.txt or tdmrep.json, or "header X-Robots-Tag of URL"."""
    when: str
    """ISO 8601, UTC, seconds."""


@dataclass(frozen=True)
class Response:
    """A server's response to a request, redirects not followed."""

    url: str
    status: int
    reason: str
    """The server's words for the status."""
    headers: HTTPMessage
    body: bytes
    """Decoded from its Content-Encoding."""
    address: str
    """IP address that was connected to."""

    @property
    def location(self) -> str | None:
        """Where a redirect leads, by its Location header; None for all other responses."""
        is_redirect = self.status in _REDIRECTS and "Location" in self.headers
        return str(self.headers["Location"]) if is_redirect else None


@dataclass(kw_only=True)
class FetchRecord:
    """All that is recorded of a fetch: for its verdict, for evidence, for the next edition."""

    key: str
    url: str
    final_url: str = ""
    status: int = 0
    """0 where no response came."""
    requested_at: str = ""
    """When the URL itself was requested: ISO 8601, UTC, seconds; "" where it never was (its site forbids it,
    its host cools down)."""
    seconds: float = 0.0
    address: str = ""
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""
    bytes: int = 0
    not_modified: bool = False
    """304 Not Modified: the bytes of the earlier edition are still right."""
    reason: Reason | None = None
    """None where a body came, or nothing has changed."""
    rule: str = ""
    detail: str = ""
    retry_at: float | None = None
    """Unix time, seconds, before which the host does not want another request."""
    signal: OptOutSignal | None = None
    """The opt-out that stopped the fetch."""
    redirects: list[str] = field(default_factory=list[str])
    """URLs that redirected, in order."""
