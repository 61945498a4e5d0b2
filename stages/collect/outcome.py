"""What a part says of its rows: one table, a row for each, and the pictures' tar beside it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifact import Funnel
from stages.collect.judge import Rules, Verdict
from stages.collect.pack import Pack, Place
from stages.output import Made

OUTCOMES = pa.schema(
    [
        ("uid", pa.string()),
        ("sha256", pa.string()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("file", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("reason", pa.string()),  # "" where the row is a picture
        ("rule", pa.string()),
        ("detail", pa.string()),
    ]
)
TABLE = "outcomes.parquet"
DETAIL_CHARACTERS = 300
"""Longest detail that is kept: error messages quote what strangers sent."""


def close_part(folder: Path, verdicts: Mapping[str, Verdict], pack: Pack, rules: Rules) -> Made:
    """Write tar and table of a part, and close its funnel.

    Args:
        folder: of the part.
        verdicts: uid -> what became of the row, for every row of the part.
        pack: holds the bytes of exactly the rows that are pictures.
        rules: named beside the reasons.
    """
    places = pack.write(folder)
    rows = [
        {
            "uid": uid,
            "sha256": verdict.sha256,
            "format": verdict.format,
            "width": verdict.width,
            "height": verdict.height,
            **vars(places[uid] if not verdict.reason else Place("", 0, 0)),
            "reason": str(verdict.reason),
            "rule": rules.rule(verdict.reason) if verdict.reason else "",
            "detail": verdict.detail[:DETAIL_CHARACTERS],
        }
        for uid, verdict in sorted(verdicts.items())
    ]
    pq.write_table(pa.Table.from_pylist(rows, OUTCOMES), folder / TABLE, compression="zstd")
    reasons = Counter(str(verdict.reason) for verdict in verdicts.values() if verdict.reason)
    return Made(Funnel(len(rows), len(places), dict(sorted(reasons.items()))))
