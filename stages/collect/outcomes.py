"""What a part says of its questions: a table with a row for each, the pictures' tar, the web's answers."""

from collections import Counter
from collections.abc import Iterable, Mapping
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
        ("key", pa.string()),  # of the question: of the URL and its source's policy, or the row's uid
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
        ("unchanged", pa.bool_()),  # the picture that was held is still right; nothing came
    ]
)
ANSWERS = pa.schema(
    [
        ("key", pa.string()),
        ("url", pa.string()),
        ("final_url", pa.string()),
        ("status", pa.int32()),  # 0: no answer
        ("asked", pa.string()),  # ISO 8601, UTC; "" where the URL itself was not asked for
        ("seconds", pa.float64()),
        ("address", pa.string()),  # that was connected to
        ("content_type", pa.string()),
        ("etag", pa.string()),
        ("last_modified", pa.string()),
        ("bytes", pa.int64()),
        ("tries", pa.int32()),  # requests for the URL in the edition that asked last
        ("failures", pa.int32()),  # editions in a row that ended in a failure that may pass
        ("retry_at", pa.string()),  # ISO 8601, UTC: not before; "" where nothing was said
        ("reason", pa.string()),
        ("signal", pa.string()),  # kind of the opt-out; "" where there is none
        ("signal_value", pa.string()),
        ("signal_where", pa.string()),
        ("signal_when", pa.string()),
    ]
)
"""`evidence/answers.parquet`: what each URL answered last, carried from edition to edition."""
ANSWERS_TABLE = "evidence/answers"
"""Its name as a table of the artifact."""

OUTCOMES_FILE = "outcomes.parquet"
ANSWERS_FILE = "answers.parquet"
DETAIL_CHARACTERS = 300
"""Longest detail that is kept: error messages quote what strangers sent."""


def close_part(
    folder: Path,
    verdicts: Mapping[str, Verdict],
    pack: Pack,
    rules: Rules,
    answers: Iterable[FetchRecord] = (),
) -> PartResult:
    """Write tar and tables of a part, and close its funnel.

    Args:
        folder: of the part.
        verdicts: key -> what became of the question, for every question of the part.
        pack: holds the bytes of exactly those that are pictures.
        rules: named beside the reasons.
        answers: of the web, where it was asked.
    """
    places = pack.write(folder)
    heard = {answer.key: answer for answer in answers}
    rows = [
        _row(key, verdict, places.get(verdict.sha256), heard.get(key), rules)
        for key, verdict in sorted(verdicts.items())
    ]
    pq.write_table(pa.Table.from_pylist(rows, OUTCOMES), folder / OUTCOMES_FILE, compression="zstd")
    told = [
        _told(heard[key], rows[place]["reason"]) for place, key in enumerate(sorted(verdicts)) if key in heard
    ]
    pq.write_table(pa.Table.from_pylist(told, ANSWERS), folder / ANSWERS_FILE, compression="zstd")
    reasons = Counter(str(row["reason"]) for row in rows if row["reason"])
    return PartResult(Funnel(len(rows), len(rows) - reasons.total(), dict(sorted(reasons.items()))))


def _row(
    key: str, verdict: Verdict, place: Place | None, answer: FetchRecord | None, rules: Rules
) -> dict[str, object]:
    rule = answer.rule if answer is not None and answer.rule else ""
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
        "unchanged": answer is not None and answer.unchanged,
    }


def _told(answer: FetchRecord, reason: object) -> dict[str, object]:
    signal = answer.signal
    return {
        **{name: getattr(answer, name) for name in ("key", "url", "final_url", "status", "asked", "seconds")},
        **{
            name: getattr(answer, name)
            for name in ("address", "content_type", "etag", "last_modified", "bytes")
        },
        "tries": 1 if answer.asked else 0,
        "failures": 0,
        "retry_at": iso(answer.retry_at) if answer.retry_at else "",
        "reason": reason,
        "signal": signal.kind if signal else "",
        "signal_value": signal.value if signal else "",
        "signal_where": signal.where if signal else "",
        "signal_when": signal.when if signal else "",
    }


def iso(moment: float) -> str:
    """Unix time as ISO 8601, UTC, the next whole second: texts that sort as the moments do."""
    return datetime.fromtimestamp(ceil(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
