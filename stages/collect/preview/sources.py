"""What the rows of each source hold, counted before anything is fetched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.collect.sources.files import expand
from stages.collect.sources.sniff import column_names
from stages.collect.sources.tables import dialect_of
from stages.collect.state import CollectionState
from stages.config.collect import CollectConfig, UrlSource

_FIRST = 1000
"""Rows whose passed-through columns are looked at."""


@dataclass(frozen=True, kw_only=True)
class SourcePreview:
    """What the rows of a source hold."""

    rows: int
    """That are taken; fewer than it has where the config's `limit` says so."""
    columns: Sequence[str]
    """Found in its first file; of a folder and of tars, what their first rows pass through."""
    captions: Mapping[str, float]
    """Column or kind of file -> share of the rows that have a caption from there, [0, 1]."""
    captioned: float
    """Share of the rows that have any caption."""
    licensed: float
    """Share of the rows of which a licence is stated."""
    refused: Mapping[str, int]
    """Reason -> rows that are refused as they stand, most first; copies of each other all count."""


def source_previews(state: CollectionState, config: CollectConfig) -> dict[str, SourcePreview]:
    """Name -> what its rows hold, in the config's order."""
    totals = _by_source(
        state,
        """
        SELECT source, count(*), count_if(len(captions) > 0), count_if(licence <> '')
        FROM taken GROUP BY source
        """,
    )
    captions = _by_source(
        state,
        """
        SELECT source, origin, count(*)
        FROM (SELECT source, unnest(list_distinct(caption_sources)) AS origin FROM taken)
        GROUP BY ALL ORDER BY 3 DESC, 2
        """,
    )
    refused = _by_source(
        state,
        "SELECT source, reason, count(*) FROM taken WHERE reason <> '' GROUP BY ALL ORDER BY 3 DESC, 2",
    )
    previews: dict[str, SourcePreview] = {}
    for source in (*config.urls, *config.folders, *config.tars, *config.parquets):
        ((rows, captioned, licensed),) = totals[source.name]
        columns: Sequence[str] = getattr(source, "caption_columns", ())
        previews[source.name] = SourcePreview(
            rows=rows,
            columns=_columns(state, source),
            captions={
                **dict.fromkeys(columns, 0.0),
                **{k: n / rows for k, n in captions.get(source.name, [])},
            },
            captioned=captioned / rows,
            licensed=licensed / rows,
            refused=dict(refused.get(source.name, [])),
        )
    return previews


def _columns(state: CollectionState, source: Any) -> list[str]:
    tables: Sequence[str] = getattr(source, "tables", ())
    if tables:
        dialect = dialect_of(source) if isinstance(source, UrlSource) else None
        return column_names(expand(source.name, tables)[0], dialect)
    query = f"""
        SELECT DISTINCT unnest(json_keys(columns)) AS name
        FROM (SELECT columns FROM taken WHERE source = ? LIMIT {_FIRST}) ORDER BY name
    """
    return [str(name) for (name,) in state.rows(query, [source.name])]


def _by_source(state: CollectionState, query: str) -> dict[str, list[Any]]:
    """Source -> the other cells of its rows."""
    cells_by_source: dict[str, list[Any]] = {}
    for source, *cells in state.rows(query):
        cells_by_source.setdefault(source, []).append(tuple(cells))
    return cells_by_source
