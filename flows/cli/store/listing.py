"""How the commands print: manifests, tables, lines, JSON."""

import json as json_module
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stages.fingerprint import short_hash
from stages.foreign_text import escape, escape_lines

if TYPE_CHECKING:
    from stages.artifacts.artifact import Artifact
    from stages.store import Store

CELL = 2000
"""Characters of a table's cell that are shown."""


def print_manifest(artifact: "Artifact", *, as_json: bool) -> None:
    """An artifact's manifest, as JSON or for people."""
    manifest, dropped = artifact.manifest, artifact.dropped
    if as_json:
        record = {**json_module.loads(manifest.to_json()), "cached": artifact.cached}
        if dropped is not None:
            record["dropped"] = {**asdict(dropped), "manifest": None}
        print_json({**record, "amendments": [asdict(amendment) for amendment in artifact.amendments]})
        return
    funnel = artifact.funnel
    lines = [
        f"{artifact.stage}/{artifact.fingerprint}",
        f"digest    {artifact.digest}",
        f"kind      {artifact.kind}, version {manifest.version} of the stage",
        f"made      {manifest.started[:19]} to {manifest.ended[:19]} on {manifest.host}",
        f"code      {manifest.code}",
        *([f"dropped   {dropped}; it had {dropped.files:,} files"] if dropped is not None else []),
        f"rows      {funnel.rows_in:,} in, {funnel.rows_out:,} out",
        *(f"          {rows:>9,} {reason}" for reason, rows in funnel.ranked_reasons()),
        *(f"input     {name}: {_input(name, artifact)}" for name in manifest.inputs),
        *(
            f"amended   {amendment.time[:19]} {amendment.reason}: "
            + ", ".join(change.path for change in amendment.changes[:5])
            for amendment in artifact.amendments
        ),
        *(f"config    {name}: {_short(value)}" for name, value in manifest.config.items()),
        *(f"fact      {name}: {_short(value)}" for name, value in manifest.statistics.items()),
    ]
    shown = 12
    for name, entry in sorted(artifact.files.items())[:shown]:
        lines.append(
            f"file      {name}  {entry.size:,} bytes  {_where(artifact.store, name, artifact)}".rstrip()
        )
    if len(artifact.files) > shown:
        lines.append(f"          and {len(artifact.files) - shown:,} files more (--json lists them)")
    print_lines(lines)


def print_lines(lines: Iterable[str]) -> None:
    """Lines on standard output; whatever strangers wrote in them is harmless there."""
    sys.stdout.writelines(f"{escape_lines(line)}\n" for line in lines)


def print_json(value: Any) -> None:
    """A value as JSON on standard output."""
    json_module.dump(value, sys.stdout, indent=1, default=dict)
    sys.stdout.write("\n")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns with two spaces between them, for people and for `cut`."""
    rows = [[escape(cell, CELL) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    print_lines(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    )


def _input(name: str, artifact: "Artifact") -> str:
    from stages.artifacts.artifact import Artifact
    from stages.artifacts.excerpt import origin_of

    inputs = artifact.manifest.inputs
    source = inputs[name]
    if not source:
        return "none"
    stage, fingerprint, digest = source["stage"], source["fingerprint"], source["digest"]
    if not stage:
        return f"{origin_of(name, inputs)}, digest {short_hash(digest)}"
    made = Artifact.find_or_tombstone(artifact.store, stage, fingerprint, digest)
    gone = ""
    if made is not None and made.dropped is not None:
        gone = f" ({', '.join([*made.dropped.references, f'dropped on {made.dropped.time[:10]}'])})"
    return f"{stage}/{short_hash(fingerprint)}{gone}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json_module.dumps(value, default=dict)
    return escape(text, 200)


def _where(store: "Store", name: str, artifact: "Artifact") -> str:
    """The path of a small result that people open, where the store is a folder."""
    if "://" in store.url or not name.endswith((".png", ".md", ".json")):
        return ""
    return str(artifact.path(name))
