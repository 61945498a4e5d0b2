"""The policies of sites, robots.txt and tdmrep.json, checked before anything of theirs is fetched."""

from collections.abc import Callable
from time import time
from typing import Any

from stages.collect.web.records import FetchRequest, OptOutSignal
from stages.collect.web.robots import Robots
from stages.collect.web.site_files import Get, SiteFileCache
from stages.collect.web.tdmrep import Reservations

_REFUSING = frozenset({429})
_FAILING = frozenset({*_REFUSING, *range(500, 600)})


class SitePolicies:
    """Says of each URL whether its site forbids it by robots.txt or TDMRep. Safe to use from many threads."""

    def __init__(self, get: Get, agent: str, clock: Callable[[], float] = time) -> None:
        """The policies of sites of which no file is read yet.

        Args:
            get: one GET, held to the host's limits.
            agent: our product token.
            clock: Unix time, seconds.
        """
        self._robots = SiteFileCache(get, clock, "/robots.txt", lambda body: Robots(body, agent), _FAILING)
        # TDMRep calls every site without the file one that does not take part: no reason to wait for it.
        self._tdmrep = SiteFileCache(get, clock, "/.well-known/tdmrep.json", Reservations, _REFUSING)

    def refusal(self, request: FetchRequest) -> OptOutSignal | None:
        """The signal by which the site of a request's URL forbids it; None where nothing does.

        Only those kinds are looked at, and only those files fetched, that the request obeys. Where a picture
        is redirected, each URL on the way is to be checked.

        Raises:
            FetchError: ROBOTS_UNREACHABLE where a file could not be read, which forbids everything for now
                (RFC 9309, 2.3.1.4); what the exchange says where the host itself is out of question: its
                address is forbidden, it has no address, it is set aside.
        """
        if "robots" in request.obey or "aipref" in request.obey:
            file = self._robots.of(request, "robots" if "robots" in request.obey else "aipref")
            if file.content is not None:
                if "robots" in request.obey and (words := file.content.forbids(request.url)):
                    return OptOutSignal("robots", words, file.url, file.fetched_at)
                if "aipref" in request.obey and (words := file.content.reserves(request.url)):
                    return OptOutSignal("aipref", words, file.url, file.fetched_at)
                if "robots" in request.obey and file.content.forbids(self._tdmrep.url_for(request.url)):
                    return None
        if "tdmrep" in request.obey:
            file = self._tdmrep.of(request, "tdmrep")
            if file.content is not None and (words := file.content.reserves(request.url)):
                return OptOutSignal("tdmrep", words, file.url, file.fetched_at)
        return None

    def crawl_delay(self, url: str) -> float | None:
        """Seconds between requests that a URL's site asks for, once `refusal` has read its robots.txt."""
        file = self._robots.cached(url)
        return file.content.crawl_delay if file is not None and file.content is not None else None

    def evidence(self) -> list[dict[str, Any]]:
        """Every file as it was last read: url, status, fetched_at, bytes, crawl_delay, detail; sorted by url.

        `status` is 0 where no answer came, `fetched_at` ISO 8601 in UTC, `bytes` those of the body,
        `crawl_delay` None where there is none, `detail` why a file could not be read.
        """
        rows = [
            {
                "url": file.url,
                "status": file.status,
                "fetched_at": file.fetched_at,
                "bytes": file.bytes,
                "crawl_delay": file.content.crawl_delay if isinstance(file.content, Robots) else None,
                "detail": file.failure.detail if file.failure else "",
            }
            for file in [*self._robots.all(), *self._tdmrep.all()]
        ]
        return sorted(rows, key=lambda row: (row["url"], row["fetched_at"]))
