"""Questions asked by an opener, one at a time."""

import urllib.request

import pytest

from stages.collect.web.answer import FetchError, FetchRecord, FetchRequest, LastingError, PassingError
from stages.collect.web.host_limiter import HostLimiter
from stages.collect.web.http_client import HttpClient
from stages.collect.web.opener import Opener
from stages.config.collect import OptOut
from stages.reasons import RETRYABLE

KEY = "0123456789abcdef"
LOOPBACK = ("127.0.0.0/8",)
ALL: tuple[OptOut, ...] = ("robots", "x-robots-tag", "aipref", "tdmrep")


class Fetch:
    """An opener with a patience, and what it remembered of the last question."""

    def __init__(
        self, *, limiter: HostLimiter | None = None, deadline: float = 5.0, patience: float = 1.0
    ) -> None:
        self.client = HttpClient(agent="birds")
        self.limiter = limiter or HostLimiter(0, 0.0)
        self.opener = Opener(
            client=self.client, limiter=self.limiter, agent="birds", max_bytes=1000, deadline=deadline,
            patience=lambda: patience,
        )  # fmt: skip
        self.answer = FetchRecord(key="", url="")

    def __call__(
        self, url: str, obey: tuple[OptOut, ...] = (), networks: tuple[str, ...] = LOOPBACK, **known: str
    ) -> bytes:
        self.opener.expect([FetchRequest(key=KEY, url=url, obey=obey, networks=networks, **known)])
        try:
            return self.opener.open(urllib.request.Request(f"{url}#{KEY}")).read()
        finally:
            (self.answer,) = self.opener.answers([KEY])
            assert self.opener.answers([KEY]) == []

    def fails(self, url: str, obey: tuple[OptOut, ...] = (), **given: object) -> FetchError:
        with pytest.raises(FetchError) as caught:
            self(url, obey, **given)  # type: ignore[arg-type]
        error, answer = caught.value, self.answer
        assert (answer.reason, answer.detail, answer.rule, answer.retry_at) == (
            error.reason, error.detail, error.rule, error.retry_at,
        )  # fmt: skip
        assert isinstance(error, PassingError if error.reason in RETRYABLE else LastingError)
        return error
