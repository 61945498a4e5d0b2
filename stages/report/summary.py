"""What a person wants to see of a finished stage, as Markdown: funnel, lineage, some of its pictures."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pandas as pd

from stages.artifacts.artifact import Artifact
from stages.artifacts.excerpt import origin_of
from stages.foreign_text import escape, escape_markdown
from stages.redaction import redact
from stages.report.coverage import coverage_markdown
from stages.report.diff import markdown_diff
from stages.report.pictures import Markdown, Shown, code, markdown_image, markdown_table, sheet, shrunk

FEW = 24
"""Pictures of a sheet."""
FUNNEL_COLUMNS = ("outcome", "rows", "share")
"""Of `funnel_rows`."""
PROGRESS = "samples/progress.png"
"""Of a model: what it drew while it learned."""


def summary(artifact: Artifact, links: Sequence[str] = ()) -> str:
    """Markdown of an artifact, with small pictures inline; a few hundred KB at most.

    Args:
        artifact: finished.
        links: lines of Markdown for below its title, that lead to more of it.
    """
    manifest = artifact.manifest
    lines = [
        f"# {artifact.stage}: {artifact.funnel.rows_out:,} of {artifact.funnel.rows_in:,} rows",
        "",
        *links,
        *markdown_table(FUNNEL_COLUMNS, funnel_rows(artifact)),
        "",
        *_warnings(artifact),
        *_PICTURES.get(artifact.stage, _nothing)(artifact),
        "## Facts",
        "",
        *markdown_table(["fact", "value"], [
            [name, _in_words(value)] for name, value in artifact.statistics.items() if name != "warnings"
        ]),
        "",
        "## Lineage",
        "",
        *markdown_table(["record", "value"], [
            ["fingerprint (what was asked)", code(artifact.fingerprint)],
            ["digest (what came)", code(artifact.digest)],
            *([f"input {name}", _input(name, manifest.inputs)] for name in manifest.inputs),
            ["config", _short(manifest.config)],
            ["code", manifest.code],
            ["started, ended, host", f"{manifest.started}, {manifest.ended}, {manifest.host}"],
        ]),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def funnel_rows(artifact: Artifact) -> list[list[object]]:
    """Outcome, rows, share of the rows in: for all rows in, each reason (most rows first), the rows out."""
    funnel = artifact.funnel
    outcomes = [("rows in", funnel.rows_in), *funnel.ranked_reasons(), ("rows out", funnel.rows_out)]
    whole = funnel.rows_in
    return [[outcome, rows, f"{rows / whole:.1%}" if whole else ""] for outcome, rows in outcomes]


def _warnings(artifact: Artifact) -> list[str]:
    warnings = [f"- {escape_markdown(words, 1000)}" for words in artifact.statistics.get("warnings", ())]
    return ["## Warnings", "", *warnings, ""] if warnings else []


def _nothing(artifact: Artifact) -> list[str]:
    return []


def _collect(images: Artifact) -> list[str]:
    # Rows are sorted by uid, a hash: the first ones are a fair sample.
    lines = _shown("Collected", images, images.table("images", rows=FEW), "format") + _rejects(images)
    lines += markdown_diff(images)
    if "evidence/coverage.json" in images.files:
        lines += [coverage_markdown(images.json("evidence/coverage.json")), ""]
    return lines


def _dedup(duplicates: Artifact) -> list[str]:
    images = duplicates.input("images")
    copies = duplicates.table("duplicates", filters=[("level", "!=", "")], rows=FEW // 2)
    if images is None or copies.empty:
        return []
    pictures = _rows_of(images, [*copies["uid"], *copies["cluster"]])
    pairs = [
        Shown(
            images,
            *(pictures.loc[uid, name] for name in ("file", "offset", "length", "sha256")),
            label=label,
        )
        for copy in _records(copies)
        for uid, label in (
            (copy["cluster"], "kept"),
            (copy["uid"], f"{copy['level']} {copy['distance']:.3f}"),
        )
    ]
    return ["## Copies beside what was kept of them", "", markdown_image(sheet(pairs), "copies"), ""]


def _score(scores: Artifact) -> list[str]:
    images = scores.input("images")
    if images is None or not scores.statistics.get("clip"):
        return ["This run has no CLIP: nothing was scored.", ""]
    table = scores.table("scores", ["uid", "similarity"])
    lines: list[str] = []
    for words, ends in (("Least", table.nsmallest), ("Most", table.nlargest)):
        rows = ends(FEW // 2, "similarity")
        similarity = rows.set_index("uid")["similarity"].map("{:.3f}".format)
        pictures = _rows_of(images, list(rows["uid"])).assign(similarity=similarity)
        lines += _shown(f"{words} like their captions", images, pictures, "similarity")
    return lines


def _filter(selection: Artifact) -> list[str]:
    images = selection.input("images")
    if images is None:
        return []
    rejects = selection.table("rejects", rows=5000).groupby("reason", sort=True).head(6).head(FEW)
    selected = _rows_of(images, list(selection.table("selection", rows=FEW // 2)["uid"])).assign(label="")
    dropped = _rows_of(images, list(rejects["uid"]))
    dropped = dropped.assign(reason=rejects.set_index("uid")["reason"]).sort_values("reason")
    return (
        _shown("Kept", images, selected, "label")
        + _shown("Not kept", images, dropped, "reason")
        + _rejects(selection)
    )


def _shard(dataset: Artifact) -> list[str]:
    index = dataset.table("index", rows=5000).groupby("split", sort=True).head(FEW // 3)
    return _shown("In the shards", dataset, index, "split") + _rejects(dataset)


def _train(model: Artifact) -> list[str]:
    lines = ["## Loss", "", markdown_image(shrunk(model.read("curve.png")), "the loss's curve"), ""]
    if PROGRESS in model.files:
        samples = markdown_image(shrunk(model.read(PROGRESS)), "the same captions, as training went on")
        lines += ["## Samples", "", samples, ""]
    return lines


def _evaluate(evaluation: Artifact) -> list[str]:
    lines = evaluation.read("report.md").decode().replace("\n#", "\n##").lstrip("# ").splitlines()
    if "grid.png" in evaluation.files:
        lines += ["", markdown_image(shrunk(evaluation.read("grid.png")), "samples"), ""]
    return ["## Report", "", *lines]


_PICTURES: Mapping[str, Callable[[Artifact], list[str]]] = {
    "collect": _collect,
    "dedup": _dedup,
    "score": _score,
    "filter": _filter,
    "shard": _shard,
    "train": _train,
    "evaluate": _evaluate,
}


def _rejects(artifact: Artifact) -> list[str]:
    """One rejected row for each reason, in words."""
    if not artifact.has_table("rejects"):
        return []
    first = artifact.table("rejects", rows=5000).drop_duplicates("reason")
    if first.empty:
        return []
    rows = [
        [row["reason"], row["rule"], escape(row["detail"], 80), escape(redact(row["location"]), 80)]
        for row in _records(first)
    ]
    return [
        "## One row for each reason",
        "",
        *markdown_table(["reason", "rule", "detail", "location"], rows),
        "",
    ]


def _shown(title: str, files: Artifact, rows: pd.DataFrame, label: str) -> list[str]:
    if rows.empty:
        return []
    shown = [
        Shown(
            files,
            row["file"],
            int(row["offset"]),
            int(row["length"]),
            row["sha256"] if "sha256" in row else int(row["checksum"]),
            str(row[label]),
        )
        for row in _records(rows.head(FEW))
    ]
    return [f"## {title}", "", markdown_image(sheet(shown), title.lower()), ""]


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", rows.to_dict("records"))


def _rows_of(images: Artifact, uids: list[str]) -> pd.DataFrame:
    """Where the pictures of some uids lie, indexed by uid, in the order of `uids`."""
    columns = ["uid", "file", "offset", "length", "sha256"]
    rows = images.table("images", columns, [("uid", "in", uids or [""])])
    return rows.set_index("uid").loc[list(dict.fromkeys(uids))]


def _input(name: str, inputs: Mapping[str, Mapping[str, str] | None]) -> str:
    entry = inputs[name]
    if not entry:
        return "none"
    if not entry["stage"]:
        return Markdown(f"{origin_of(name, inputs)} {code(entry['digest'])}")
    return Markdown(f"{escape_markdown(entry['stage'])} {code(entry['fingerprint'])} {code(entry['digest'])}")


def _in_words(value: object) -> str:
    """A fact for people: four digits of a measure, small counts by their names."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping) and value and all(isinstance(count, int) for count in value.values()):
        return ", ".join(f"{name} {count:,}" for name, count in value.items())
    return _short(value)


def _short(value: object) -> str:
    return escape(value if isinstance(value, str) else json.dumps(value, default=dict))
