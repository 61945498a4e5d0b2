"""collect: from rows that name images to the images' bytes, every row accounted for."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pyarrow.parquet as pq

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.collect.carry_over import carry_over, tightened
from stages.collect.context import WIDTH, FetchContext
from stages.collect.copy_local import copy_all
from stages.collect.database import CAPTION_BYTES
from stages.collect.edition import VERSION, edition_inputs, edition_note
from stages.collect.outcomes import FETCHES_TABLE
from stages.collect.progress import CollectionProgress
from stages.collect.repack import repack
from stages.collect.report.conflicts import find_conflicts
from stages.collect.report.coverage import coverage
from stages.collect.report.diff import diff_tables
from stages.collect.results import write_evidence, write_results
from stages.collect.rounds import FIRST_ROUND, fetch_all, first_attempt
from stages.collect.rules import Rules
from stages.collect.sandbox import Sandbox
from stages.collect.sources.files import check_sources, stamps_of
from stages.collect.sources.folders import folder_rows
from stages.collect.sources.limits import ReadContext, RowLimits
from stages.collect.sources.parquets import parquet_rows
from stages.collect.sources.rows import SourceRow, write_rows
from stages.collect.sources.tables import url_rows
from stages.collect.sources.tars import tar_rows
from stages.collect.state import CollectionState
from stages.collect.web.fetcher import Fetcher
from stages.collect.web.host_limiter import HostLimiter
from stages.collect.web.http_client import HttpClient
from stages.config.collect import CollectConfig
from stages.output import Output, Part
from stages.stage import Stats, StepSettings, stage
from stages.takedown.records import tables

SOURCES = "evidence/sources.json"
"""The snapshot, as a file of the artifact: the next edition compares with it."""


@stage(
    version=VERSION,
    kind="images",
    step=StepSettings(inputs=edition_inputs, reference="images", note=edition_note),
)
def collect(
    previous: Artifact | None,
    sources: Snapshot,
    takedowns: Snapshot | None,
    config: CollectConfig,
    out: Output,
) -> Stats:
    """Bring every image that the sources name, as far as sites and rules allow.

    Writes `images.parquet` (IMAGES), `rejects.parquet` (REJECTS), tars of original bytes, and evidence: the
    last fetch of each URL (`fetches`), what they come to by host (`hosts`), contradictions (`conflicts`),
    what the set represents (`coverage`), how it differs from the edition before (`diff`). Bytes are decoded
    to be judged and stored as they came. What the previous edition holds is taken over by reference, so that
    unchanged sources give the same digest.

    Args:
        previous: the edition before, from `previous_of`; None fetches everything.
        sources: what the sources are now, from `snapshot`.
        takedowns: what must not come back, from `takedown.takedowns`; None where there is nothing.
        config: where the images come from, and what is taken for an image.
        out: where to.

    Raises:
        ValueError: a source that cannot be read, or lacks a column; RetryableError: rows got lost on the way.
    """
    check_sources(config)
    rules = Rules.of(config)
    out.progress(0, 0, "reading the sources")
    reading = ReadContext(limits=RowLimits.of(config), check=out.check, warn=out.warn)
    write_rows(source_rows(config, sources, previous, reading), out.folder / "rows.parquet")
    edition = [sources.digest, previous.digest if previous else "", takedowns.digest if takedowns else ""]
    removed = tables(takedowns)
    with closing(CollectionState(out.folder / "rows.parquet", config, removed, out.folder)) as state:
        carried = {"pictures_carried": 0, "rejections_carried": 0, "revalidated": 0}
        if previous is not None:
            carried = carry_over(state, previous, rules, config, first_attempt(out, edition))
        with _context(config, rules, removed, out) as context:
            copied = copy_all(state, config, context, out)
            fetched = fetch_all(state, config, context, out, edition) if config.urls else []
        later = [part for part in fetched if not part.key.startswith(FIRST_ROUND)]
        packed = repack(state, later, config.part_rows, out)
        statistics = {
            **carried,
            "fetched": _rows_of(fetched) - _rows_of(later),
            "fetched_again": _rows_of(later),
            "copied": _rows_of(copied),
            "sources": state.source_statistics(),
        }
        state.settle(config.placeholder_urls)
        funnel = _write_tables(state, context, out)
        files = state.files()
    out.write(SOURCES).write_text(json.dumps(sources.contents, indent=1, sort_keys=True))
    _write_views(previous, out)
    _add_files(files, previous, [*fetched, *copied, *packed], out)
    return Stats(funnel, statistics)


def source_rows(
    config: CollectConfig, sources: Snapshot, previous: Artifact | None, reading: ReadContext
) -> Iterator[SourceRow]:
    """Every row that the sources name, in order."""
    before = previous.json(SOURCES) if previous is not None else None
    stricter = tightened(previous, config)

    def was(name: str) -> dict[str, str] | None:
        return dict(stamps_of(before, name)) if previous is not None else None

    for url in config.urls:
        # What was fetched under a laxer policy must not stay.
        yield from url_rows(url, changed=url.name in stricter, reading=reading)
    for folder in config.folders:
        stamps = stamps_of(sources.contents, folder.name)
        yield from folder_rows(folder, stamps, was(folder.name), reading)
    for tar in config.tars:
        yield from tar_rows(tar, stamps_of(sources.contents, tar.name), was(tar.name), reading)
    for parquet in config.parquets:
        stamps = stamps_of(sources.contents, parquet.name)
        yield from parquet_rows(parquet, stamps, was(parquet.name), reading)


def _context(config: CollectConfig, rules: Rules, removed: Any, out: Output) -> FetchContext:
    context = FetchContext(
        rules=rules,
        sandbox=Sandbox(config.workers, rules),
        progress=CollectionProgress(out.warn),
        threads=max(1, config.threads // WIDTH),
        taken_down={row["value"]: row["number"] for row in removed.to_pylist() if row["kind"] == "sha256"},
    )
    if config.urls:
        context.fetcher = Fetcher(
            client=HttpClient(agent=config.agent, contact=config.contact),
            limiter=HostLimiter(config.connections, config.per_second, config.hosts),
            agent=config.agent,
            max_bytes=config.max_bytes,
            deadline=config.deadline,
            max_wait=lambda: context.patience,
        )
    return context


def _rows_of(parts: list[Part]) -> int:
    return sum(part.funnel.rows_in for part in parts if part.funnel is not None)


def _write_tables(state: CollectionState, context: FetchContext, out: Output) -> Funnel:
    funnel = write_results(state, out.write("images.parquet"), out.write("rejects.parquet"))
    if omitted := state.captions_omitted():
        out.warn(
            f"captions of {omitted:,} rows are left out: other rows gave their pictures "
            f"{CAPTION_BYTES:,} bytes of captions before them"
        )
    write_evidence(state, out.write(f"{FETCHES_TABLE}.parquet"), out.write("evidence/hosts.parquet"))
    if context.fetcher is not None:
        out.write("evidence/sites.json").write_text(json.dumps(context.fetcher.evidence(), indent=1))
    return funnel


def _write_views(previous: Artifact | None, out: Output) -> None:
    """What people want to know of the result, beside it."""
    images, rejects = out.write("images.parquet"), out.write("rejects.parquet")
    pq.write_table(find_conflicts(images), out.write("evidence/conflicts.parquet"), compression="zstd")
    out.write("evidence/coverage.json").write_text(json.dumps(coverage([images]), indent=1))
    if previous is not None:
        old_images, old_rejects = previous.table_files("images"), previous.table_files("rejects")
        diff = diff_tables(old_images, old_rejects, [images], [rejects])
        out.write("evidence/diff.json").write_text(diff.to_json())


def _add_files(files: list[str], previous: Artifact | None, parts: list[Part], out: Output) -> None:
    """The tars that hold pictures of this edition, wherever they lie."""
    at_hand = dict(previous.files) if previous is not None else {}
    for part in parts:
        at_hand |= part.files
    out.add({file: at_hand[file] for file in files})
