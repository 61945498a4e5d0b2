"""A dry run of a collection, without a request: rows, hosts, time, space, and what looks wrong."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.collect.carry_over import carry_over
from stages.collect.collect import source_rows
from stages.collect.outcomes import iso
from stages.collect.preview.concerns import concerns
from stages.collect.preview.forecast import FetchForecast, fetch_costs, forecast_fetch
from stages.collect.preview.sources import SourcePreview, source_previews
from stages.collect.rules import Rules
from stages.collect.sources.files import check_sources
from stages.collect.sources.limits import ReadContext, RowLimits
from stages.collect.sources.rows import write_rows
from stages.collect.state import CollectionState
from stages.config.collect import CollectConfig
from stages.emptiness import emptied
from stages.reasons import Reason
from stages.takedown.records import tables


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a collection would do, by a dry run. `rows` are the sum of refused, duplicates, already_collected,
    waiting, to_fetch and to_copy."""

    rows: int
    sources: Mapping[str, SourcePreview]
    refused: Mapping[str, int]
    """Reason -> rows that are refused as they stand, or taken down; most first."""
    duplicates: int
    """Rows that name the picture of an earlier row of their source."""
    already_collected: int
    """Rows whose pictures the edition before holds."""
    waiting: int
    """Rows that the edition before refused, and that are refused still, or not due yet."""
    to_fetch: int
    """Rows whose pictures must be fetched; several sources may name one URL, which is fetched once."""
    urls: int
    """Distinct URLs to request, those of pictures that are revalidated among them."""
    to_copy: int
    """Rows whose pictures lie in files here and must be read."""
    forecast: FetchForecast
    free: int | None
    """Bytes free where the store lies; None where it is not on this machine."""
    problems: Sequence[str]
    """What a person should look at, a sentence each."""

    def to_plain(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def preview(
    previous: Artifact | None,
    sources: Snapshot,
    takedowns: Snapshot | None,
    config: CollectConfig,
    *,
    scratch: Path,
    store: Path | None = None,
) -> Preview:
    """What `collect` would do with the same inputs, by its own code as far as that goes without a request.

    What an interrupted attempt has brought already is not known here and counts as still to do.

    Args:
        previous: the edition before; None where there is none.
        sources: from `snapshot`.
        takedowns: from `takedown.takedowns`.
        config: of the collection.
        scratch: an empty folder, for tables that memory need not hold.
        store: folder in which results shall lie, there or not; None where that is not on this machine.

    Raises:
        ValueError: what `collect` would refuse, in the same words.
    """
    check_sources(config)
    rules = Rules.of(config)
    notes: list[str] = []
    reading = ReadContext(limits=RowLimits.of(config), warn=notes.append)
    write_rows(source_rows(config, sources, previous, reading), scratch / "rows.parquet")
    state = CollectionState(scratch / "rows.parquet", config, tables(takedowns), scratch)
    try:
        if previous is not None:
            carry_over(state, previous, rules, config, iso(time.time()))
        previews = source_previews(state, config)
        forecast = forecast_fetch(
            _hosts(state), _bytes_to_copy(state, sources, config), config, fetch_costs(previous)
        )
        free = None if store is None else _free(store)
        counts = _counts(state)
        problems = [*_emptiness(counts), *concerns(config, previews, forecast, free), *notes]
        return Preview(
            **counts,
            sources=previews,
            forecast=forecast,
            urls=forecast.urls,
            free=free,
            problems=problems,
        )
    finally:
        state.close()


_STATE = """
    CASE WHEN h.reason <> '' THEN 'refused' WHEN o.reason = '' THEN 'already_collected'
    WHEN o.reason <> '' THEN 'waiting' WHEN path = '' THEN 'to_fetch' ELSE 'to_copy' END
"""


def _counts(state: CollectionState) -> dict[str, Any]:
    query = f"SELECT {_STATE}, count(*) FROM heads h LEFT JOIN outcomes o USING (key) GROUP BY 1"
    states: dict[str, int] = dict(state.rows(query))
    rows = int(state.rows("SELECT count(*) FROM taken")[0][0])
    refused = "SELECT reason, count(*) FROM heads WHERE reason <> '' GROUP BY 1 ORDER BY 2 DESC, 1"
    return {
        "rows": rows,
        "refused": dict(state.rows(refused)),
        "duplicates": rows - sum(states.values()),
        **{name: states.get(name, 0) for name in ("already_collected", "waiting", "to_fetch", "to_copy")},
    }


def _emptiness(counts: Mapping[str, Any]) -> Iterator[str]:
    """A sentence where no row can become a picture, in `collect`'s words."""
    if not any(counts[name] for name in ("already_collected", "waiting", "to_fetch", "to_copy")):
        refused: Mapping[str, int] = counts["refused"]
        copies = {Reason.DUPLICATE_URL: counts["duplicates"]} if counts["duplicates"] else {}
        funnel = Funnel(counts["rows"], 0, {**refused, **copies})
        yield f"nothing would be collected: {emptied('collect', funnel)}"


def _hosts(state: CollectionState) -> Iterator[tuple[str, int]]:
    """Hosts and the URLs to ask of each, the greatest first."""
    query = """
        SELECT host, count(DISTINCT key) AS urls FROM heads
        WHERE reason = '' AND path = ''
        AND (key NOT IN (SELECT key FROM outcomes) OR key IN (SELECT key FROM revalidated))
        GROUP BY host ORDER BY 2 DESC, 1
    """
    for batch in state.batches(query):
        yield from ((row["host"], row["urls"]) for row in batch.to_pylist())


def _bytes_to_copy(state: CollectionState, sources: Snapshot, config: CollectConfig) -> int:
    """Of the files of each source on this machine the share of its rows that must be read."""
    query = f"""
        SELECT source, count_if({_STATE} = 'to_copy') / count(*)
        FROM heads h LEFT JOIN outcomes o USING (key) WHERE path <> '' GROUP BY source
    """
    shares: dict[str, float] = dict(state.rows(query))
    taken: dict[str, float] = dict(
        state.rows(
            """
            SELECT source, t.rows / g.rows FROM (SELECT source, count(*) AS rows FROM taken GROUP BY source) t
            JOIN (SELECT source, count(*) AS rows FROM source_rows GROUP BY source) g USING (source)
            """
        )
    )
    contents: Any = sources.contents
    return sum(
        round(share * taken[name] * sum(file["size"] for file in contents[name].values()))
        for name, share in shares.items()
    )


def _free(folder: Path) -> int:
    """Bytes free on the file system where a folder lies, or will."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
