"""`sdflow ls` and `sdflow show`: what a store holds."""

import json as json_module
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read
from stages.fingerprint import short_hash
from stages.foreign_text import escape, escape_lines

if TYPE_CHECKING:
    from stages.artifacts.artifact import Artifact, Manifest
    from stages.store import Store

CELL = 2000
"""Characters of a table's cell that are shown."""
OWN = "announced/"
"""References below this are the flows' memory of what they announced, not names for people."""


def ls(*, store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """List what a store holds: references with the newest entry of each, and every finished artifact.

    **Examples**

    ```
    sdflow ls
    sdflow ls --store s3://bucket/results --json | jq '.artifacts[].fingerprint'
    ```
    """
    from stages.artifacts.artifact import artifacts
    from stages.artifacts.reference import names, references

    opened = open_to_read(store)
    named = [
        history[-1]
        for name in names(opened)
        if not name.startswith(OWN)
        for history in [references(opened, name)]
    ]
    finished = sorted(artifacts(opened), key=lambda artifact: artifact.manifest.ended)
    if json:
        print_json({
            "references": [
                {"name": newest.name, "number": newest.number, "stage": newest.stage,
                 "fingerprint": newest.fingerprint, "digest": newest.digest, "time": newest.time}
                for newest in named
            ],
            "artifacts": [_facts(artifact) for artifact in finished],
        })  # fmt: skip
        return
    if not finished:
        print_lines([f"store {opened.url} holds nothing finished yet; `sdflow run CONFIG.yaml` fills it"])
        return
    print_table(
        ["reference", "artifact", "digest", "since"],
        [[str(newest), newest.short_name, short_hash(newest.digest), newest.time[:19]] for newest in named],
    )
    print_lines([""])
    print_table(
        ["artifact", "digest", "rows in", "rows out", "files", "MB", "finished"],
        [
            [
                artifact.short_name,
                short_hash(artifact.digest),
                f"{artifact.funnel.rows_in:,}",
                f"{artifact.funnel.rows_out:,}",
                f"{len(artifact.files):,}",
                f"{sum(entry.size for entry in artifact.files.values()) / 1e6:,.1f}",
                artifact.manifest.ended[:19],
            ]
            for artifact in finished
        ],
    )


def show(
    what: Annotated[
        str, Parameter(help="Reference (models/demo, datasets/demo@2) or the first digits of a fingerprint.")
    ],
    /,
    *,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Show an artifact: its funnel, config, inputs, statistics and files; an evaluation's report, too.

    **Examples**

    ```
    sdflow show datasets/demo
    sdflow show filter/3fa92c --json | jq .funnel.reasons
    ```
    """
    from stages.artifacts.reference import references, resolve

    opened = open_to_read(store)
    artifact = resolve(opened, what)
    print_manifest(artifact, as_json=json)
    if json:
        return
    history = references(opened, what.partition("@")[0])
    if len(history) > 1:
        print_lines(["", "history"])
        print_lines(
            f"  {entry}  {entry.short_name}  {short_hash(entry.digest)}  {entry.time[:19]}"
            for entry in history
        )
    if "report.md" in artifact.files:
        print_lines(["", artifact.read("report.md").decode()])


def print_manifest(artifact: "Artifact", *, as_json: bool) -> None:
    """An artifact's manifest, as JSON or for people."""
    manifest = artifact.manifest
    if as_json:
        record = {**json_module.loads(manifest.to_json()), "cached": artifact.cached}
        print_json({**record, "amendments": [asdict(amendment) for amendment in artifact.amendments]})
        return
    funnel = artifact.funnel
    lines = [
        f"{artifact.stage}/{artifact.fingerprint}",
        f"digest    {artifact.digest}",
        f"kind      {artifact.kind}, version {manifest.version} of the stage",
        f"made      {manifest.started[:19]} to {manifest.ended[:19]} on {manifest.host}",
        f"code      {manifest.code}",
        f"rows      {funnel.rows_in:,} in, {funnel.rows_out:,} out",
        *(f"          {rows:>9,} {reason}" for reason, rows in funnel.ranked_reasons()),
        *(f"input     {name}: {_input(name, manifest)}" for name in manifest.inputs),
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


def _facts(artifact: "Artifact") -> dict[str, Any]:
    return {
        "stage": artifact.stage,
        "fingerprint": artifact.fingerprint,
        "digest": artifact.digest,
        "kind": artifact.kind,
        "rows_in": artifact.funnel.rows_in,
        "rows_out": artifact.funnel.rows_out,
        "reasons": dict(artifact.funnel.reasons),
        "files": len(artifact.files),
        "bytes": sum(entry.size for entry in artifact.files.values()),
        "ended": artifact.manifest.ended,
    }


def _input(name: str, manifest: "Manifest") -> str:
    from stages.artifacts.excerpt import origin_of

    source = manifest.inputs[name]
    if not source:
        return "none"
    return (
        f"{source['stage']}/{short_hash(source['fingerprint'])}"
        if source["stage"]
        else f"{origin_of(name, manifest.inputs)}, digest {short_hash(source['digest'])}"
    )


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json_module.dumps(value, default=dict)
    return escape(text, 200)


def _where(store: "Store", name: str, artifact: "Artifact") -> str:
    """The path of a small result that people open, where the store is a folder."""
    if "://" in store.url or not name.endswith((".png", ".md", ".json")):
        return ""
    return str(artifact.path(name))
