"""What a person should look at before a collection starts, in sentences."""

from collections.abc import Iterator, Mapping

from stages.collect.preview.forecast import FetchForecast
from stages.collect.preview.sources import SourcePreview
from stages.collect.progress import DOMINATES
from stages.config.collect import OPT_OUTS, CollectConfig
from stages.units import file_size

MOSTLY = 0.5
"""Share of the rows below which a column of captions, or of licences, is called mostly empty."""
MANY_REFUSED = 0.05
"""Share of a source's rows from which on those that are refused as they stand are worth a sentence."""
FEW = 20
"""URLs below which nobody need hear of a host that has most of them."""
LONG = 86_400.0
"""Seconds."""


def concerns(
    config: CollectConfig, sources: Mapping[str, SourcePreview], forecast: FetchForecast, free: int | None
) -> Iterator[str]:
    """What to look at, the most serious first.

    Args:
        config: of the collection.
        sources: what its sources' rows hold.
        forecast: of time and space.
        free: bytes free where the store lies; None where that is not known.
    """
    if free is not None and forecast.bytes > free:
        yield (
            f"the pictures may take {file_size(forecast.bytes)} and {file_size(free)} are free: give a "
            "larger store, or a limit"
        )
    if forecast.greatest and not config.contact:
        yield "no contact is given: say in collect.contact how a site's owner can reach you"
    yield from _of_hosts(config, forecast)
    for name, source in sources.items():
        yield from _of_rows(name, source)
    for source in config.urls:
        missing = [kind for kind in OPT_OUTS if kind not in source.obey]
        if missing:
            yield f"source {source.name!r} does not obey {', '.join(missing)}"
        if source.allow_networks:
            yield f"source {source.name!r} may connect to {', '.join(source.allow_networks)}"
    if config.limit is not None:
        yield f"collect.limit takes a sample of at most {config.limit:,} rows of each source"


def _of_hosts(config: CollectConfig, forecast: FetchForecast) -> Iterator[str]:
    total = forecast.urls
    for host in forecast.greatest[:1]:
        if total >= FEW and host.urls > DOMINATES * total:
            yield (
                f"{host.urls / total:.0%} of the URLs are at {host.host}: its limits set the pace, and the "
                "pictures are mostly its"
            )
    if forecast.slowest and forecast.seconds > LONG:
        yield (
            f"{forecast.slowest} alone takes {forecast.seconds / LONG:,.1f} days at its limits; raise them "
            "in collect.hosts only if its owner agrees"
        )
    for name in ("connections", "per_second"):
        if forecast.greatest and not getattr(config, name):
            yield f"collect.{name} is 0: hosts are spared nothing by it"


def _of_rows(name: str, source: SourcePreview) -> Iterator[str]:
    rows = f"of the rows of source {name!r}"
    refused = sum(source.refused.values())
    if refused > MANY_REFUSED * source.rows:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in source.refused.items())
        yield f"{_share(refused / source.rows)} {rows} are refused as they stand: {reasons}"
    if source.captioned < MOSTLY:
        yield f"{_share(1 - source.captioned)} {rows} have no caption"
    else:
        for column, share in source.captions.items():
            if share < MOSTLY:
                yield f"{_share(1 - share)} {rows} have no caption from {column!r}"
    if source.licensed < MOSTLY:
        yield f"{_share(1 - source.licensed)} {rows} state no licence"


def _share(part: float) -> str:
    return "all" if part == 1 else f"{min(part, 0.99):.0%}"
