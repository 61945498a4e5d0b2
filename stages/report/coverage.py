"""What a set of pictures represents, for people: as Markdown and as a chart."""

import io
import warnings
from collections.abc import Mapping
from itertools import islice
from typing import Any

from stages.artifacts.artifact import Artifact
from stages.collect.report.coverage import coverage
from stages.foreign_text import escape, escape_markdown
from stages.report.pictures import markdown_table

SHOWN = 10
"""Names of a table or panel."""


def coverage_of(artifact: Artifact) -> dict[str, Any]:
    """What a collection or a dataset represents, as of `stages.collect.report.coverage`.

    Raises:
        ValueError: it is neither, or was collected by a version that kept less of its pictures.
    """
    images = artifact if artifact.kind == "images" else None
    if artifact.kind == "dataset":
        images = artifact.input("images")
    name = artifact.short_name
    if images is None:
        raise ValueError(f"{name} is neither a collection (images/NAME) nor a dataset (datasets/NAME)")
    if "evidence/coverage.json" not in images.files:
        raise ValueError(f"{name} was collected by an earlier version, which kept less; collect again")
    if images is artifact:
        return images.json("evidence/coverage.json")
    return coverage(images.table_files("images"), artifact.table_files("index"))


def coverage_markdown(facts: Mapping[str, Any]) -> str:
    """A report on what `coverage` counted, at most a few screens."""
    hosts, texts = facts["hosts"], facts["texts"]
    quantiles = ", ".join(f"{words} at {share}" for share, words in texts["words"].items())
    lines = [f"## What the {facts['images']:,} pictures represent", ""]
    lines += [f"* {escape_markdown(concern, 1000)}." for concern in facts["concerns"]] or [
        "Nothing stands out."
    ]
    lines.append("")
    if hosts["count"]:
        lines += [f"Hosts: {hosts['count']:,}, of which {hosts['half']:,} hold half of the pictures.", ""]
    for title, counts in coverage_panels(facts).items():
        lines += _table(title, counts)
    if texts["sample"]:
        lines += [f"Words of a caption, of {texts['sample']:,} captions: {quantiles}.", ""]
    return "\n".join(lines)


def coverage_chart(facts: Mapping[str, Any]) -> bytes:
    """A PNG of bars: hosts, languages, licences, sizes and shapes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = (
        "host",
        "language of captions",
        "licence",
        "shorter side, pixels",
        "megapixels",
        "width to height",
    )
    panels = {name: counts for name, counts in coverage_panels(facts).items() if name in names and counts}
    figure = Figure(figsize=(11, 3 * -(-len(panels) // 2)), layout="constrained")
    for place, (title, counts) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(-(-len(panels) // 2), 2, place)
        total = sum(counts.values()) or 1
        shown = dict(islice(counts.items(), SHOWN))
        bars = axes.barh(range(len(shown)), [100 * n / total for n in shown.values()])
        axes.set_yticks(range(len(shown)), [_label(name) for name in shown], parse_math=False)
        axes.bar_label(bars, [f"{n:,}" for n in shown.values()], padding=3, fontsize=7)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("per cent", fontsize=8)
        axes.tick_params(labelsize=7)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing"
        )  # the font has no signs of Asia: boxes stand there
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def coverage_panels(facts: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Title -> counts, in the order in which they are told."""
    hosts: dict[str, int] = dict(islice(facts["hosts"]["greatest"].items(), SHOWN - 1))
    rest = facts["images"] - sum(hosts.values())
    return {
        "source": facts["sources"],
        "host": {**hosts, **({"other hosts, or none": rest} if hosts and rest else {})},
        "licence": facts["licences"],
        "language of captions": facts["texts"]["languages"],
        "script of captions": facts["texts"]["scripts"],
        "shorter side, pixels": facts["min_side"],
        "megapixels": facts["megapixels"],
        "width to height": facts["aspect"],
        "format": facts["formats"],
        "captions of a picture": facts["captions"],
        "set right when decoded": facts["repairs"],
    }


def _table(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    total = sum(counts.values()) or 1
    rows = [[name or "none", count, f"{count / total:.1%}"] for name, count in islice(counts.items(), SHOWN)]
    rest = sum(islice(counts.values(), SHOWN, None))
    rows += [[f"{len(counts) - SHOWN} more", rest, f"{rest / total:.1%}"]] if rest else []
    return [*markdown_table([title, "count", "share"], rows), ""]


def _label(name: str) -> str:
    """Short enough for an axis."""
    name = escape(name)
    return (name if len(name) <= 28 else name[:27] + "…") or "none"
