"""collect: from rows that name images to the images' bytes, every row accounted for."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from stages.artifact import Artifact, Snapshot
from stages.collect.fetch import FetchPart, fetch
from stages.collect.files import check_names, stamps_of
from stages.collect.folders import folder_rows
from stages.collect.judge import Rules
from stages.collect.local import CopyPart, copy
from stages.collect.outcome import TABLE
from stages.collect.plan import Plan
from stages.collect.rows import Row, write_rows
from stages.collect.tables import url_rows
from stages.collect.tars import tar_rows
from stages.config import CollectConfig
from stages.engine import Inline, Processes
from stages.fingerprint import fingerprint_of
from stages.output import Output, Part, PartSpec
from stages.stage import Stats, stage

SOURCES = "evidence/sources.json"
"""The snapshot, as a file of the artifact: the next edition compares with it."""


@stage(version=1, kind="images")
def collect(previous: Artifact | None, sources: Snapshot, config: CollectConfig, out: Output) -> Stats:
    """Bring every image that the sources name.

    Writes `images.parquet` (IMAGES), `rejects.parquet` (REJECTS), tars of original bytes, and evidence. The
    bytes are decoded to be judged and stored as they came. What the previous edition holds is taken over by
    reference, so that unchanged sources give the same digest.

    Args:
        previous: the edition before, from `previous_of`; None fetches everything.
        sources: what the sources are now, from `snapshot`.
        config: where the images come from, and what is taken for an image.
        out: where to.

    Raises:
        ValueError: a source that cannot be read, or lacks a column; RetryableError: a worker died.
    """
    check_names(config)
    rules = Rules.of(config)
    out.progress(0, 0, "reading the sources")
    write_rows(_rows(previous, sources, config), out.folder / "rows.parquet")
    plan = Plan(out.folder / "rows.parquet", config.limit, out.folder)
    try:
        known = {"reused": 0, "carried": 0}
        if previous is not None:
            known = plan.reuse(previous, rules, _private(config))
        engine = Inline() if config.workers == 1 else Processes(config.workers)
        fetched: list[Part] = []
        copied: list[Part] = []
        if config.urls:
            asked = {"rules": asdict(rules), "edition": config.edition}
            fetched = out.parts(_to_fetch(plan, rules, config), fetch, engine, config=asked, note="fetching")
        if config.folders or config.tars:
            asked = {"rules": asdict(rules)}
            copied = out.parts(_to_copy(plan, rules, config), copy, engine, config=asked, note="copying")
        plan.learn([part.path(TABLE) for part in (*fetched, *copied)])
        funnel, files = plan.write(out.write("images.parquet"), out.write("rejects.parquet"))
        statistics = {
            **known,
            "fetched": _rows_of(fetched),
            "copied": _rows_of(copied),
            "sources": plan.per_source(),
        }
    finally:
        plan.close()
    out.write(SOURCES).write_text(json.dumps(sources.contents, indent=1, sort_keys=True))
    _add_files(files, previous, [*fetched, *copied], out)
    return Stats(funnel, statistics)


def _rows(previous: Artifact | None, sources: Snapshot, config: CollectConfig) -> Iterator[Row]:
    before = previous.json(SOURCES) if previous is not None else None
    was_private = _was_private(previous)
    for source in config.urls:
        # What was fetched from private addresses must not stay once they are closed.
        yield from url_rows(source, changed=source.name in was_private and not source.allow_private)
    for source in config.folders:
        was = stamps_of(before, source.name) if previous is not None else None
        yield from folder_rows(source, stamps_of(sources.contents, source.name), was)
    for source in config.tars:
        was = stamps_of(before, source.name) if previous is not None else None
        yield from tar_rows(source, stamps_of(sources.contents, source.name), was)


def _private(config: CollectConfig) -> dict[str, bool]:
    """Name of each source -> whether it may connect to private addresses."""
    local = [source.name for source in (*config.folders, *config.tars)]
    return {source.name: source.allow_private for source in config.urls} | dict.fromkeys(local, False)


def _was_private(previous: Artifact | None) -> set[str]:
    urls = previous.config.get("urls", []) if previous is not None else []
    return {source["name"] for source in urls if source.get("allow_private")}


def _to_fetch(plan: Plan, rules: Rules, config: CollectConfig) -> Iterator[PartSpec]:
    for source in config.urls:
        for number, table in enumerate(plan.wanted(source.name, config.part_rows)):
            key = f"{source.name}-{number:05d}"
            uids, urls = table["uid"].to_pylist(), table["location"].to_pylist()
            part = FetchPart(
                uids=uids,
                urls=urls,
                rules=rules,
                allow_private=source.allow_private,
                threads=config.threads,
                evidence=f"evidence/fetch/{key}.parquet",
            )
            yield PartSpec(key, [fingerprint_of([uids, source.allow_private])], part)


def _to_copy(plan: Plan, rules: Rules, config: CollectConfig) -> Iterator[PartSpec]:
    for source in (*config.folders, *config.tars):
        for number, table in enumerate(plan.wanted(source.name, config.part_rows)):
            uids = table["uid"].to_pylist()
            part = CopyPart(
                uids=uids,
                paths=table["path"].to_pylist(),
                offsets=table["offset"].to_pylist(),
                lengths=table["length"].to_pylist(),
                rules=rules,
            )
            inputs = [fingerprint_of([uids, table["stamp"].to_pylist()])]
            yield PartSpec(f"{source.name}-{number:05d}", inputs, part)


def _rows_of(parts: list[Part]) -> int:
    return sum(part.funnel.rows_in for part in parts if part.funnel is not None)


def _add_files(files: list[str], previous: Artifact | None, parts: list[Part], out: Output) -> None:
    """The tars that hold pictures of this edition, wherever they lie, and the evidence of this fetching."""
    at_hand = dict(previous.files) if previous is not None else {}
    for part in parts:
        at_hand |= part.files
        out.add({name: entry for name, entry in part.files.items() if name.startswith("evidence/")})
    out.add({file: at_hand[file] for file in files})
