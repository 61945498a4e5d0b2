"""Requests made by a fetcher, one at a time."""

from stages.collect.web.fetcher import Fetcher
from stages.collect.web.host_limiter import HostLimiter
from stages.collect.web.http_client import HttpClient
from stages.collect.web.records import FetchRecord, FetchRequest
from stages.config.collect import OptOut

KEY = "0123456789abcdef"
LOOPBACK = ("127.0.0.0/8",)
ALL: tuple[OptOut, ...] = ("robots", "x-robots-tag", "aipref", "tdmrep")


class Fetch:
    """A fetcher with a patience, and its record of the last request."""

    def __init__(
        self, *, limiter: HostLimiter | None = None, deadline: float = 5.0, patience: float = 1.0
    ) -> None:
        self.client = HttpClient(agent="birds")
        self.limiter = limiter or HostLimiter(0, 0.0)
        self.fetcher = Fetcher(
            client=self.client, limiter=self.limiter, agent="birds", max_bytes=1000, deadline=deadline,
            max_wait=lambda: patience,
        )  # fmt: skip
        self.answer = FetchRecord(key="", url="")

    def __call__(
        self, url: str, obey: tuple[OptOut, ...] = (), networks: tuple[str, ...] = LOOPBACK, **known: str
    ) -> bytes:
        body = self._fetch(url, obey, networks, **known)
        assert self.answer.reason is None, self.answer
        return body

    def fails(
        self, url: str, obey: tuple[OptOut, ...] = (), networks: tuple[str, ...] = LOOPBACK, **known: str
    ) -> FetchRecord:
        assert self._fetch(url, obey, networks, **known) == b""
        assert self.answer.reason is not None
        return self.answer

    def _fetch(self, url: str, obey: tuple[OptOut, ...], networks: tuple[str, ...], **known: str) -> bytes:
        request = FetchRequest(key=KEY, url=url, obey=obey, networks=networks, **known)
        self.answer, body = self.fetcher.fetch(request)
        assert self.answer.key == KEY
        return body
