"""A picture's URL as we fetch it: with leave of the site, at its host's pace, through every redirect.

What goes wrong on the way is a `FetchError` in here; the caller gets a `FetchRecord` of everything.
"""

import string
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urljoin

from stages.collect.web.errors import FetchError, fetch_error
from stages.collect.web.host_limiter import HostLimiter, HostWait
from stages.collect.web.http_client import HttpClient
from stages.collect.web.optout import quoted, refusal_in_headers
from stages.collect.web.records import FetchRecord, FetchRequest, Response
from stages.collect.web.site_policies import SitePolicies
from stages.collect.web.url import UrlError, host_of, normalise, redacted
from stages.reasons import RETRYABLE, Reason

MAX_REDIRECTS = 5
LONGEST_RETRY_AFTER = 86_400.0
"""Seconds; who asks for more gets another request a day later."""


class Fetcher:
    """Fetches pictures: opt-outs, rate limits and redirects are obeyed; safe to use from many threads."""

    def __init__(
        self,
        *,
        client: HttpClient,
        limiter: HostLimiter,
        agent: str,
        max_bytes: int,
        deadline: float,
        max_wait: Callable[[], float],
    ) -> None:
        """A fetcher.

        Args:
            client: makes single GETs.
            limiter: gives each of them its slot at its host.
            agent: our product token, by which sites can address us.
            max_bytes: of a body.
            deadline: seconds that the exchanges for one picture may take together; waiting for a host's slot
                does not count.
            max_wait: -> seconds that a request may wait for a slot, at this moment.
        """
        self._client = client
        self._limiter = limiter
        self._agent = agent
        self._max_bytes = max_bytes
        self._deadline = deadline
        self._max_wait = max_wait
        self._sites = SitePolicies(self.get, agent)

    def evidence(self) -> list[dict[str, Any]]:
        """The files by which sites state their policies, see `SitePolicies.evidence`."""
        return self._sites.evidence()

    def longest_wait(self, least: float) -> HostWait | None:
        """The host that requests wait for longest at this moment; see `HostLimiter.longest_wait`."""
        return self._limiter.longest_wait(least)

    def close(self) -> None:
        """Have everything fail at once from now on."""
        self._limiter.close()
        self._client.close()

    def fetch(self, request: FetchRequest) -> tuple[FetchRecord, bytes]:
        """Fetch a picture: what came of it, and its bytes; none where it failed or has not changed.

        Reason and detail of a failure are alike when it goes wrong alike.
        """
        record = FetchRecord(key=request.key, url=request.url, final_url=request.url)
        try:
            return record, self._follow(request, record)
        except FetchError as error:
            record.reason, record.rule, record.detail = error.reason, error.rule, error.detail
            record.retry_at = error.retry_at
            return record, b""

    def get(self, url: str, request: FetchRequest, max_bytes: int) -> Response:
        """A single GET in a slot of its host, for a site's own files, which tell of the host's health,
        too."""
        with self._limiter.slot(host_of(url), self._max_wait()):
            started = time.monotonic()
            return self._exchange(url, request, max_bytes, started + self._deadline)

    def _follow(self, request: FetchRequest, record: FetchRecord) -> bytes:
        headers: dict[str, str] = {}
        if request.etag:
            headers["If-None-Match"] = request.etag
        elif request.last_modified:
            headers["If-Modified-Since"] = request.last_modified

        def on_headers(head: Response) -> None:
            _record_head(head, record)
            if head.status < 400:
                self._check_headers(head, request, record)

        url = request.url
        for _ in range(MAX_REDIRECTS + 1):
            self._check_site(replace(request, url=url), record)
            with self._limiter.slot(host_of(url), self._max_wait()):
                record.requested_at = record.requested_at or _now()
                started = time.monotonic()
                try:
                    until = started + self._deadline - record.seconds
                    response = self._exchange(url, request, self._max_bytes, until, headers, on_headers)
                finally:
                    record.seconds += time.monotonic() - started
            record.bytes = len(response.body)
            if response.location is None:
                return self._body(response, request, record)
            record.redirects.append(url)
            url = record.final_url = _target(url, response.location)
            if url in record.redirects:
                break
        raise fetch_error(Reason.TOO_MANY_REDIRECTS, f"in a circle, or more than {MAX_REDIRECTS}")

    def _check_site(self, request: FetchRequest, record: FetchRecord) -> None:
        """Raise where the site of a URL forbids it by a file of its own; keep the pace that it asks for
        (Crawl-delay)."""
        if not request.obey:
            return
        signal = self._sites.refusal(request)
        if signal is not None:
            record.signal = signal
            raise fetch_error(Reason.OPTED_OUT, f"{signal.kind}: {signal.value}", f"obey={signal.kind}")
        delay = self._sites.crawl_delay(request.url) if "robots" in request.obey else None
        if delay:
            self._limiter.set_crawl_delay(host_of(request.url), delay)

    def _check_headers(self, response: Response, request: FetchRequest, record: FetchRecord) -> None:
        """Raise where what came with the picture, or with a redirect on the way, forbids its use."""
        signal = refusal_in_headers(response.headers, response.url, self._agent, request.obey, _now())
        if signal is not None:
            record.signal = signal
            raise fetch_error(Reason.OPTED_OUT, f"{signal.kind}: {signal.value}", f"obey={signal.kind}")

    def _exchange(
        self,
        url: str,
        request: FetchRequest,
        max_bytes: int,
        until: float,
        headers: Mapping[str, str] | None = None,
        on_headers: Callable[[Response], None] | None = None,
    ) -> Response:
        """A single GET, its outcome reported to the circuit breaker of its host."""
        host = host_of(url)
        try:
            response = self._client.get(
                url,
                networks=request.networks,
                max_bytes=max_bytes,
                until=until,
                headers=headers,
                on_headers=on_headers,
            )
        except FetchError as error:
            self._limiter.report(host, ok=error.reason not in RETRYABLE)
            if error.reason == Reason.FORBIDDEN_ADDRESS:
                rule = f"allow_networks={','.join(request.networks) or 'none'}"
                raise fetch_error(error.reason, error.detail, rule) from error
            if error.reason == Reason.TIMEOUT:
                raise fetch_error(error.reason, f"no whole answer within {self._deadline:g} s") from error
            raise
        wait = retry_after(response)
        if wait:  # it says itself when it will answer: no cool-down need be guessed
            self._limiter.cool_down(host, wait)
        else:
            self._limiter.report(host, ok=reason_of_status(response.status) not in RETRYABLE)
        return response

    def _body(self, response: Response, request: FetchRequest, record: FetchRecord) -> bytes:
        if response.status == 304 and (request.etag or request.last_modified):
            record.not_modified = True
        elif not 200 <= response.status < 300:
            words = quoted(f"{response.status} {response.reason}")
            reason = reason_of_status(response.status) or Reason.BAD_ANSWER
            wait = retry_after(response) if reason in RETRYABLE else None
            raise fetch_error(reason, words, retry_at=None if wait is None else time.time() + wait)
        return response.body


def reason_of_status(status: int) -> Reason | None:
    """Why a status brings no picture; None for 2xx and 304, and for redirects that lead nowhere."""
    if status in (404, 410):
        return Reason.HTTP_NOT_FOUND
    if status in (425, 429):
        return Reason.HTTP_TOO_MANY_REQUESTS
    if status == 408:
        return Reason.TIMEOUT
    if status >= 500:
        return Reason.HTTP_SERVER_ERROR
    return Reason.HTTP_CLIENT_ERROR if status >= 400 else None


def retry_after(response: Response) -> float | None:
    """Seconds that a failure that may pass asks for (RFC 9110, 10.2.3); None where it asks for none."""
    value = response.headers.get("Retry-After")
    if value is None or reason_of_status(response.status) not in RETRYABLE:
        return None
    value = value.strip()
    try:
        if value.isascii() and value.isdigit():
            seconds = float(value)
        else:
            moment = parsedate_to_datetime(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = moment.timestamp() - time.time()
    except (ValueError, OverflowError):  # nonsense says nothing
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _record_head(response: Response, record: FetchRecord) -> None:
    record.status, record.address = response.status, response.address
    record.content_type = _header(response, "Content-Type")
    record.etag = _header(response, "ETag")
    record.last_modified = _header(response, "Last-Modified")


def _header(response: Response, header: str) -> str:
    """A header's value on one line; "" where it is too long to be stored, as half of it is worth nothing."""
    words = " ".join(str(response.headers.get(header, "")).split())
    return words if len(words) <= 300 else ""


def _target(url: str, location: str) -> str:
    shown = redacted(location.partition("?")[0])[:200]  # a query can be a signature
    # http.client reads headers as ISO-8859-1: quoting from it gives the bytes that the server sent.
    try:
        return normalise(
            urljoin(url, quote(location.strip(), encoding="iso-8859-1", safe=string.punctuation))
        )
    except UrlError as error:
        raise fetch_error(error.reason, f"redirected to {shown!r}: {error.detail}") from None
    except ValueError:
        raise fetch_error(Reason.BAD_URL, f"redirected to {shown!r}") from None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
