"""A part of rows whose bytes lie on this machine, in files, in tars or in tables: copied, and judged."""

import errno
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.collect.body_pipeline import BodyPipeline
from stages.collect.context import FetchContext
from stages.collect.outcomes import close_part
from stages.collect.pack import Pack
from stages.collect.sources.parquets import IN_TABLE, read_images
from stages.errors import RetryableError
from stages.image.verdict import Verdict
from stages.output import Made
from stages.reasons import Reason
from stages.regular_file import open_regular


@dataclass(frozen=True, kw_only=True)
class CopyPart:
    """What a part copies: a picture is `lengths` bytes from `offsets` of its path; -1 means all of them.

    Where the length is `parquets.IN_TABLE`, the path is a Parquet file and the offset a row of it, whose
    `column` holds the picture.
    """

    source: str
    keys: Sequence[str]
    paths: Sequence[str]
    offsets: Sequence[int]
    lengths: Sequence[int]
    column: str = ""


def copy_local(folder: Path, part: CopyPart, context: FetchContext) -> Made:
    """Make a part: `outcomes.parquet` and `tars/...` below `folder`."""

    def heard(key: str, verdict: Verdict, size: int) -> None:
        context.progress.count(part.source, verdict.reason, size)

    with Pack(folder.with_name(folder.name + ".spool")) as pack:
        pipeline = BodyPipeline(pack, context.sandbox, context.forgotten, heard)
        try:
            for key, data in _bodies(part, context.rules.max_bytes):
                if context.cancelled.is_set():
                    raise RetryableError("the collection ended before this part did")
                if isinstance(data, Verdict):
                    pipeline.refuse(key, data)
                else:
                    pipeline.take(key, data)
        finally:
            verdicts = pipeline.finish()
        return close_part(folder, verdicts, pack, context.rules)


def _bodies(part: CopyPart, max_bytes: int) -> Iterator[tuple[str, bytes | Verdict]]:
    in_tables: dict[str, dict[int, str]] = defaultdict(dict)  # path -> row -> key
    for key, path, offset, length in zip(part.keys, part.paths, part.offsets, part.lengths, strict=True):
        if length == IN_TABLE:
            in_tables[path][offset] = key
        else:
            yield key, _read(Path(path), offset, length, max_bytes)
    for path, keys in in_tables.items():
        for row, data in read_images(Path(path), part.column, sorted(keys), max_bytes):
            if data is None:
                yield keys[row], Verdict(Reason.MISSING_FILE, "the cell is empty")
            elif isinstance(data, int):
                yield keys[row], Verdict(Reason.TOO_MANY_BYTES, f"{data} bytes")
            else:
                yield keys[row], data


def _read(path: Path, offset: int, length: int, max_bytes: int) -> bytes | Verdict:
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size if length < 0 else length
            if size > max_bytes:
                return Verdict(Reason.TOO_MANY_BYTES, f"{size} bytes")
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):  # this process's, not the file's
            raise
        return Verdict(Reason.MISSING_FILE, error.strerror or str(error))
