"""How long a collection takes at the limits in force, and how much space, from counts of URLs by host."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

import duckdb

from stages.artifacts.artifact import Artifact
from stages.collect.outcomes import FETCHES_TABLE
from stages.collect.web.host_limiter import limits_of
from stages.config.collect import CollectConfig

TYPICAL_SECONDS = 0.3
"""Of an answer, where nothing was measured."""
TYPICAL_BYTES = 100_000
"""Of a picture, where nothing was measured: those of web tables are mostly of 50 to 300 kB."""
ENOUGH = 100
"""Answers or pictures of an edition from which on its means are believed."""
SHOWN = 20
"""Greatest hosts that are listed by name."""


@dataclass(frozen=True, kw_only=True)
class FetchCosts:
    """What a fetch costs, on average: seconds an answer, bytes a picture."""

    seconds: float = TYPICAL_SECONDS
    seconds_measured: bool = False
    """In the edition before; else a guess."""
    bytes: float = TYPICAL_BYTES
    """Of a picture."""
    bytes_measured: bool = False


@dataclass(frozen=True)
class HostForecast:
    """What fetching from a single host takes."""

    host: str
    urls: int
    seconds: float
    """That its URLs take at least, at its limits."""


@dataclass(frozen=True, kw_only=True)
class FetchForecast:
    """Time and space, at least and about. What is not known beforehand is not in it: a robots.txt's
    Crawl-delay, hosts that ask for patience, further rounds over failures, a slow line of one's own."""

    seconds: float
    """The longest of: the host that takes longest, and all URLs over all threads."""
    slowest: str
    """The host that decides on the time; "" where no single one does."""
    urls: int
    hosts: int
    greatest: Sequence[HostForecast]
    """Those with most URLs, most first."""
    bytes: int
    """Of the pictures, were every URL to bring one, and of files that are copied."""
    costs: FetchCosts


def fetch_costs(previous: Artifact | None) -> FetchCosts:
    """What responses and pictures cost in an edition before, if it had enough of them; else what is usual."""
    costs = FetchCosts()
    if previous is None:
        return costs
    count, mean = _mean(previous, "images", '"length"')
    if count >= ENOUGH:
        costs = replace(costs, bytes=mean, bytes_measured=True)
    if previous.has_table(FETCHES_TABLE):
        count, mean = _mean(previous, FETCHES_TABLE, "CASE WHEN status > 0 THEN seconds END")
        if count >= ENOUGH:
            costs = replace(costs, seconds=mean, seconds_measured=True)
    return costs


def forecast_fetch(
    hosts: Iterable[tuple[str, int]], bytes_to_copy: int, config: CollectConfig, costs: FetchCosts
) -> FetchForecast:
    """Forecast what fetching from some hosts takes.

    Args:
        hosts: (host, URLs to fetch from it), the greatest first.
        bytes_to_copy: of files on this machine.
        config: its limits on hosts hold, and its threads.
        costs: of a fetch.
    """
    greatest: list[HostForecast] = []
    count, urls, slowest, longest = 0, 0, "", 0.0
    for host, host_urls in hosts:
        seconds = host_urls / _requests_per_second(host, config, costs.seconds)
        if count < SHOWN:
            greatest.append(HostForecast(host, host_urls, seconds))
        if seconds > longest:
            slowest, longest = host, seconds
        count, urls = count + 1, urls + host_urls
    together = urls * costs.seconds / config.threads
    return FetchForecast(
        seconds=max(together, longest),
        slowest=slowest if longest > together else "",
        urls=urls,
        hosts=count,
        greatest=greatest,
        bytes=round(urls * costs.bytes) + bytes_to_copy,
        costs=costs,
    )


def _requests_per_second(host: str, config: CollectConfig, seconds: float) -> float:
    """Requests a second that a host gets at most, by the rules of `HostLimiter`."""
    connections, per_second = limits_of(host, config.connections, config.per_second, config.hosts)
    return min(connections / seconds if connections and seconds else inf, per_second or inf)


def _mean(artifact: Artifact, table: str, value: str) -> tuple[int, float]:
    with duckdb.connect() as db:
        rows = artifact.scan(db, table)
        count, mean = rows.aggregate(f"count({value}), coalesce(avg({value}), 0)").fetchall()[0]
    return int(count), float(mean)
