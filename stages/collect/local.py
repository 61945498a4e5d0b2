"""A part of rows whose bytes lie on this machine, in files or in tars: copied as they are, and judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.collect.judge import Rules, Verdict, judge
from stages.collect.outcome import close_part
from stages.collect.pack import Pack
from stages.output import Made
from stages.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class CopyPart:
    """What a worker is told: a picture is `lengths` bytes from `offsets` of its path; -1 means all."""

    uids: Sequence[str]
    paths: Sequence[str]
    offsets: Sequence[int]
    lengths: Sequence[int]
    rules: Rules


def copy(folder: Path, part: CopyPart) -> Made:
    """Make a part: `outcomes.parquet` and `tars/...` below `folder`."""
    verdicts: dict[str, Verdict] = {}
    with Pack(folder.with_name(folder.name + ".spool")) as pack:
        for uid, path, offset, length in zip(part.uids, part.paths, part.offsets, part.lengths, strict=True):
            try:
                data = _read(Path(path), offset, length, part.rules)
            except OSError as error:
                verdicts[uid] = Verdict(Reason.MISSING_FILE, error.strerror or str(error))
                continue
            verdicts[uid] = data if isinstance(data, Verdict) else judge(data, part.rules)
            if not isinstance(data, Verdict) and not verdicts[uid].reason:
                pack.add(uid, verdicts[uid].format, data)
        return close_part(folder, verdicts, pack, part.rules)


def _read(path: Path, offset: int, length: int, rules: Rules) -> bytes | Verdict:
    size = path.stat().st_size if length < 0 else length
    if size > rules.max_bytes:
        return Verdict(Reason.TOO_MANY_BYTES, f"{size} bytes")
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
