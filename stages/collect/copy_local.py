"""Rows whose bytes lie on this machine, in files, in tars or in tables: copied, and judged, part by part."""

import errno
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from stages.collect.body_pipeline import BodyPipeline
from stages.collect.context import WIDTH, FetchContext
from stages.collect.outcomes import OUTCOMES_FILE, close_part
from stages.collect.pack import Pack
from stages.collect.row_groups import RowGroup
from stages.collect.sources.parquets import IN_TABLE, read_images
from stages.collect.state import CollectionState
from stages.config.collect import CollectConfig
from stages.engine import Threads
from stages.errors import RetryableError
from stages.image.verdict import Verdict
from stages.output import Output, Part, PartResult, PartSpec
from stages.reasons import Reason
from stages.regular_file import open_regular


def copy_all(state: CollectionState, config: CollectConfig, context: FetchContext, out: Output) -> list[Part]:
    """Copy every picture that lies on this machine and has no outcome yet; the parts.

    Args:
        state: gets what came.
        config: its sources of files, and `part_rows`.
        context: judges.
        out: records the parts.
    """
    columns = {source.name: source.image_column for source in config.parquets}
    specs: list[PartSpec] = []
    for source in (*config.folders, *config.tars, *config.parquets):
        column = columns.get(source.name, "")
        for group in state.to_copy(source.name, f"copied-{len(specs)}.parquet", config.part_rows):
            inputs = [group.digest, *([column] if column else [])]
            payload = (source.name, column, group)
            specs.append(PartSpec(f"{source.name}-{group.group:05d}", inputs, payload))
    if not specs:
        return []
    parts = out.parts(
        specs,
        partial(_copy, context=context),
        Threads(WIDTH, context.cancel),
        config={"rules": asdict(context.rules)},
        note=context.progress.note,
    )
    state.record([part.path(OUTCOMES_FILE) for part in parts])
    return parts


def _copy(folder: Path, payload: tuple[str, str, RowGroup], context: FetchContext) -> PartResult:
    """Make a part: `outcomes.parquet` and `tars/...` below `folder`."""
    source, column, group = payload

    def count(key: str, verdict: Verdict, size: int) -> None:
        context.progress.count(source, verdict.reason, size)

    with Pack(folder.with_name(folder.name + ".spool")) as pack:
        pipeline = BodyPipeline(pack, context.sandbox, context.taken_down, count)
        try:
            for key, body in _bodies(group.read(), column, context.rules.max_bytes):
                if context.cancelled.is_set():
                    raise RetryableError("the collection ended before this part did")
                if isinstance(body, Verdict):
                    pipeline.refuse(key, body)
                else:
                    pipeline.take(key, body)
        finally:
            verdicts = pipeline.finish()
        return close_part(folder, verdicts, pack, context.rules)


def _bodies(
    rows: Iterable[dict[str, Any]], column: str, max_bytes: int
) -> Iterator[tuple[str, bytes | Verdict]]:
    """Key and bytes of each row: `length` bytes from `offset` of its `path`, all of them where it is -1.

    Where the length is `parquets.IN_TABLE`, the path is a Parquet file and the offset a row of it, whose
    `column` holds the picture.
    """
    in_tables: dict[str, dict[int, str]] = defaultdict(dict)  # path -> row -> key
    for row in rows:
        if row["length"] == IN_TABLE:
            in_tables[row["path"]][row["offset"]] = row["key"]
        else:
            yield row["key"], _read(Path(row["path"]), row["offset"], row["length"], max_bytes)
    for path, keys in in_tables.items():
        for row, data in read_images(Path(path), column, sorted(keys), max_bytes):
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
