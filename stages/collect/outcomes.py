"""The tables of a part: what became of each row, and a record of each fetch; written beside its tar."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifacts.artifact import Funnel
from stages.collect.pack import Pack, Place
from stages.collect.rules import Rules
from stages.collect.web.records import FetchRecord
from stages.image.verdict import Verdict
from stages.output import PartResult
from stages.reasons import Reason

OUTCOMES = pa.schema(
    [
        ("key", pa.string()),  # of the request: of the URL and its source's policy, or the row's uid
        ("sha256", pa.string()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("frames", pa.int32()),
        ("repairs", pa.list_(pa.string())),
        ("file", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("reason", pa.string()),  # "" where there is a picture
        ("rule", pa.string()),
        ("detail", pa.string()),
        ("not_modified", pa.bool_()),  # HTTP 304: the picture that is here is still right; no body came
    ]
)
FETCHES = pa.schema(
    [
        ("key", pa.string()),
        ("url", pa.string()),
        ("final_url", pa.string()),
        ("status", pa.int32()),  # 0: no answer
        ("requested_at", pa.string()),  # ISO 8601, UTC; "" where the URL itself was not requested
        ("seconds", pa.float64()),
        ("address", pa.string()),  # that was connected to
        ("content_type", pa.string()),
        ("etag", pa.string()),
        ("last_modified", pa.string()),
        ("bytes", pa.int64()),
        ("requests", pa.int32()),  # for the URL, in the edition that fetched it last
        ("failures", pa.int32()),  # editions in a row that ended in a failure that may pass
        ("retry_at", pa.string()),  # ISO 8601, UTC: not before; "" where nothing was said
        ("reason", pa.string()),
        ("signal", pa.string()),  # kind of the opt-out; "" where there is none
        ("signal_value", pa.string()),
        ("signal_where", pa.string()),
        ("signal_when", pa.string()),
    ]
)
"""`evidence/fetches.parquet`: the last fetch of each URL and policy, carried from edition to edition."""
FETCHES_TABLE = "evidence/fetches"
"""Its name as a table of the artifact."""

OUTCOMES_FILE = "outcomes.parquet"
FETCHES_FILE = "fetches.parquet"
DETAIL_CHARACTERS = 300
"""Longest detail that is kept: error messages quote what strangers sent."""


def close_part(
    folder: Path,
    verdicts: Mapping[str, Verdict],
    pack: Pack,
    rules: Rules,
    records: Mapping[str, FetchRecord] | None = None,
) -> PartResult:
    """Write tar and tables of a part, and close its funnel.

    Args:
        folder: of the part.
        verdicts: key -> what became of the row, for every row of the part.
        pack: holds the bytes of exactly those that are pictures.
        rules: named beside the reasons.
        records: key -> record of the fetch, where there was one.
    """
    places = pack.write(folder)
    records = records or {}
    rows = [
        _outcome(key, verdict, places.get(verdict.sha256), records.get(key), rules)
        for key, verdict in sorted(verdicts.items())
    ]
    pq.write_table(pa.Table.from_pylist(rows, OUTCOMES), folder / OUTCOMES_FILE, compression="zstd")
    fetches = [_fetch(records[str(row["key"])], row["reason"]) for row in rows if row["key"] in records]
    pq.write_table(pa.Table.from_pylist(fetches, FETCHES), folder / FETCHES_FILE, compression="zstd")
    reasons = Counter(str(row["reason"]) for row in rows if row["reason"])
    return PartResult(Funnel(len(rows), len(rows) - reasons.total(), dict(sorted(reasons.items()))))


def _outcome(
    key: str, verdict: Verdict, place: Place | None, record: FetchRecord | None, rules: Rules
) -> dict[str, object]:
    rule = record.rule if record is not None and record.rule else ""
    return {
        "key": key,
        "sha256": verdict.sha256,
        "format": verdict.format,
        "width": verdict.width,
        "height": verdict.height,
        "frames": verdict.frames,
        "repairs": list(verdict.repairs),
        **vars(place if place is not None and not verdict.reason else Place("", 0, 0)),
        "reason": str(verdict.reason),
        "rule": rule or (rules.rule(Reason(verdict.reason)) if verdict.reason else ""),
        "detail": verdict.detail[:DETAIL_CHARACTERS],
        "not_modified": record is not None and record.not_modified,
    }


def _fetch(record: FetchRecord, reason: object) -> dict[str, object]:
    signal = record.signal
    return {
        **{
            name: getattr(record, name)
            for name in ("key", "url", "final_url", "status", "requested_at", "seconds")
        },
        **{
            name: getattr(record, name)
            for name in ("address", "content_type", "etag", "last_modified", "bytes")
        },
        "requests": 1 if record.requested_at else 0,
        "failures": 0,
        "retry_at": iso(record.retry_at) if record.retry_at else "",
        "reason": reason,
        "signal": signal.kind if signal else "",
        "signal_value": signal.value if signal else "",
        "signal_where": signal.where if signal else "",
        "signal_when": signal.when if signal else "",
    }


def iso(moment: float) -> str:
    """Unix time as ISO 8601, UTC, the next whole second: texts that sort as the moments do."""
    return datetime.fromtimestamp(ceil(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
