"""What a set of pictures represents: where they come from, what is said of them, how large they are."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from stages.collect.report.languages import UNKNOWN, language_of, script_of
from stages.collect.report.views import views
from stages.parquet_view import parquet
from stages.takedown.matches import host_of

GREATEST = 50
"""Hosts, licences and other names that are told one by one."""
CHARACTERS = 2_000
"""Of a caption that are looked at."""
SAMPLE = 20_000
"""Captions whose language, script and words are counted: the first by uid, which is a hash."""
NOT_STATED = "not stated"
"""The licence of pictures that have none."""
OTHERS = "others"
"""All names beyond the greatest."""

MIN_SIDE = (64, 128, 256, 512, 1024)  # pixels
MEGAPIXELS = (0.1, 0.25, 1, 4, 16)
ASPECT = (0.5, 0.8, 1.25, 2)  # width to height
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def coverage(images: Sequence[Path], within: Sequence[Path] = ()) -> dict[str, Any]:
    """What a set of pictures represents, as JSON.

    Args:
        images: files of a table of record.IMAGES.
        within: files of a table whose uids alone are counted, a dataset's index, say; none: all are counted.

    Returns:
        * images: how many; by name, most first: sources, formats, licences, repairs, captions (of an image);
          by size: min_side, megapixels, aspect (width to height);
        * hosts: count, half (the fewest that hold half of all pictures with a host), greatest (by name).
          Hosts are not merged to registered domains: that needs a list which changes by the week;
        * texts, of the first `SAMPLE` captions, each up to `CHARACTERS`: sample (how many), languages,
          scripts, words (by quantile, as spaces part them);
        * concerns: sentences on what the set does not represent.
    """
    chosen = f" WHERE uid IN (SELECT uid FROM {parquet(*within)})" if within else ""
    with views({"images": f"SELECT *, {host_of()} AS host FROM {parquet(*images)}{chosen}"}) as db:
        (total,) = db.execute("SELECT count(*) FROM images").fetchall()[0]
        licence = f"CASE WHEN trim(licence) = '' THEN '{NOT_STATED}' ELSE trim(licence) END"
        counts = {
            "images": total,
            "sources": _counts(db, "source"),
            "hosts": _hosts(db),
            "licences": _counts(db, licence),
            "formats": _counts(db, "format"),
            "repairs": _counts(db, "unnest(repairs)"),
            "min_side": _buckets(db, "least(width, height)", MIN_SIDE),
            "megapixels": _buckets(db, "width::BIGINT * height / 1e6", MEGAPIXELS),
            "aspect": _buckets(db, "width / height", ASPECT),
            "captions": _counts(
                db, "CASE WHEN len(captions) < 10 THEN len(captions)::VARCHAR ELSE '10+' END"
            ),
            "texts": _texts(db),
        }
    return {**counts, "concerns": list(_concerns(counts))}


def _counts(db: duckdb.DuckDBPyConnection, value: str) -> dict[str, int]:
    """Value -> how many have it, most first; beyond the greatest, one sum."""
    query = f"SELECT value, count(*) AS n FROM (SELECT {value} AS value FROM images) GROUP BY value"
    with_sum = f"""
        SELECT CASE WHEN place <= {GREATEST} THEN value ELSE '{OTHERS}' END AS name, sum(n)::BIGINT
        FROM (SELECT *, row_number() OVER (ORDER BY n DESC, value) AS place FROM ({query}))
        GROUP BY name ORDER BY min(place)
    """
    return dict(db.execute(with_sum).fetchall())


def _hosts(db: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    db.execute("CREATE TABLE hosts AS SELECT host, count(*) AS n FROM images WHERE host <> '' GROUP BY host")
    count, half = db.execute(
        """
        SELECT count(*), count(*) FILTER (before < (SELECT sum(n) FROM hosts) / 2)
        FROM (SELECT sum(n) OVER (ORDER BY n DESC, host ROWS UNBOUNDED PRECEDING) - n AS before FROM hosts)
        """
    ).fetchall()[0]
    greatest = db.execute(f"SELECT host, n FROM hosts ORDER BY n DESC, host LIMIT {GREATEST}").fetchall()
    return {"count": count, "half": half, "greatest": dict(greatest)}


def _buckets(db: duckdb.DuckDBPyConnection, value: str, edges: Sequence[float]) -> dict[str, int]:
    """Name of a bucket -> how many are in it; "A to B" holds A and ends below B."""
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    names = [f"below {edges[0]:g}", *between, f"{edges[-1]:g} or more"]
    place = " + ".join(f"({value} >= {edge})::INT" for edge in edges)
    counts = dict(db.execute(f"SELECT {place} AS place, count(*) FROM images GROUP BY place").fetchall())
    return {name: counts.get(place, 0) for place, name in enumerate(names)}


def _texts(db: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    # The last uid first: a sort of whole captions would hold them all in memory.
    captioned = f"SELECT uid FROM images WHERE len(captions) > 0 ORDER BY uid LIMIT {SAMPLE}"
    last = db.execute(f"SELECT coalesce(max(uid), '') FROM ({captioned})").fetchall()[0][0]
    query = f"""
        SELECT text FROM (
            SELECT uid, left(unnest(captions).text, {CHARACTERS}) AS text,
                generate_subscripts(captions, 1) AS place
            FROM images WHERE uid <= ?
        ) ORDER BY uid, place LIMIT {SAMPLE}
    """
    texts = [text for (text,) in db.execute(query, [last]).fetchall()]
    words = np.quantile([len(text.split()) for text in texts] or [0], QUANTILES, method="inverted_cdf")
    return {
        "sample": len(texts),
        "languages": _most(map(language_of, texts)),
        "scripts": _most(map(script_of, texts)),
        "words": {f"{share:.0%}": int(count) for share, count in zip(QUANTILES, words, strict=True)},
    }


def _most(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _concerns(counts: Mapping[str, Any]) -> Iterable[str]:
    total, sample = counts["images"], counts["texts"]["sample"]
    if not total:
        return
    for host, count in list(counts["hosts"]["greatest"].items())[:1]:
        if count > total / 2:
            yield f"{count / total:.0%} of the pictures come from {host}: the set shows what that site shows"
    silent = counts["licences"].get(NOT_STATED, 0)
    if silent > total / 2:
        yield f"{silent / total:.0%} of the pictures have no stated licence"
    bare = counts["captions"].get("0", 0)
    if bare > total / 20:
        yield f"{bare / total:.0%} of the pictures have no caption, and will not be trained on"
    small = sum(counts["min_side"][name] for name in list(counts["min_side"])[:3])
    if small > total / 2:
        yield f"{small / total:.0%} of the pictures are less than {MIN_SIDE[2]} pixels on their shorter side"
    languages = counts["texts"]["languages"]
    unknown = languages.get(UNKNOWN, 0)
    if unknown > sample / 2:
        yield f"the language of {unknown / sample:.0%} of the captions cannot be told; most are too short"
    for language, count in languages.items():
        if language != UNKNOWN and count > 0.9 * (sample - unknown):
            yield (
                f"{count / (sample - unknown):.0%} of the captions whose language can be told are "
                f"{language!r}: other languages are hardly represented"
            )
