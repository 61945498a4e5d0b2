"""The page that shows a comparison: a table in Markdown between two marks of a page, and a plot."""

import math
from collections.abc import Sequence
from pathlib import Path

from flows.compare.cases import MODES, Comparison
from flows.compare.figures import CONFIDENCE, Row, Share, undecided

BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"
"""What stands between them is written anew each time; the rest of the page is its authors'."""
WORDS = {
    "frozen": "pretrained, frozen",
    "joint": "pretrained, learned on",
    "random": "from nothing",
}
COLOURS = {"frozen": "#4c72b0", "joint": "#55a868", "random": "#c44e52"}


def write_page(path: Path, rows: Sequence[Row], comparison: Comparison, ceiling: float, machine: str) -> None:
    """Put table and plot into a page; the plot lies beside it, under its name with ".png".

    Args:
        path: of a Markdown page; one that is not there begins with a title alone.
        rows: what was found.
        comparison: what was compared.
        ceiling: share right that no reader of bags of words can pass.
        machine: in words.
    """
    before = path.read_text() if path.exists() else f"# Text encoders compared\n\n{BEGIN}\n{END}\n"
    if BEGIN not in before or END not in before:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}, between which the comparison belongs")
    plot = path.with_suffix(".png")
    draw_plot(plot, rows, ceiling)
    head, rest = before.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    body = table(rows, comparison, ceiling, machine)
    path.write_text(
        f"{head}{BEGIN}\n![Share of pictures right with each encoder]({plot.name})\n\n{body}\n{END}{tail}"
    )


def table(rows: Sequence[Row], comparison: Comparison, ceiling: float, machine: str) -> str:
    """The comparison in Markdown."""
    emoji = any(row.emoji for row in rows)
    columns = [
        "encoder",
        "parameters",
        "images/s, frozen / learned",
        *(WORDS[mode] for mode in MODES),
        "R@1 of its own",
    ]
    columns += ["emoji R@1"] if emoji else []
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in sorted(rows, key=lambda one: -max(share.mean for share in one.right.values())):
        cells = [
            row.kind,
            f"{row.parameters:,}",
            " / ".join(f"{row.speed[mode]:.0f}" for mode in ("frozen", "random")),
            *(told(row.right[mode]) for mode in MODES),
            f"{row.pretrained.get('r_at_1', math.nan):.3f}",
        ]
        cells += [told(row.emoji) if row.emoji else "-"] if emoji else []
        lines.append("| " + " | ".join(cells) + " |")
    found = [f"{WORDS[mode]}: {', '.join(undecided(rows, mode))}" for mode in MODES]
    words = [
        f"Share of {comparison.samples} pictures in which the oracle finds everything that a caption says, "
        "for combinations and phrasings that were never trained on; every denoiser learned for "
        f"{comparison.seconds:g} seconds on one of {machine}. Mean of {comparison.seeds} seeds and its "
        f"{CONFIDENCE:.0%} interval. Who reads captions as bags of words cannot pass {ceiling:.3f}.",
        "Best first, with all whose intervals overlap the best one's, among which nothing is decided: "
        + "; ".join(found)
        + ".",
        per_attribute(rows),
    ]
    return "\n".join(lines) + "\n\n" + "\n\n".join(words)


def per_attribute(rows: Sequence[Row]) -> str:
    """What the best mode of each encoder gets right, attribute by attribute."""
    names = [name for name in rows[0].attributes[MODES[0]] if name not in ("all", "clean")]
    lines = [
        "| encoder, at its best | " + " | ".join([*names, "clean"]) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for row in rows:
        mode = max(MODES, key=lambda one: row.right[one].mean)
        shares = " | ".join(f"{row.attributes[mode][name]:.2f}" for name in [*names, "clean"])
        lines.append(f"| {row.kind}, {WORDS[mode]} | {shares} |")
    return "\n".join(lines)


def told(share: Share) -> str:
    """A share with its interval."""
    if math.isnan(share.low):
        return f"{share.mean:.3f}"
    return f"{share.mean:.3f} ({share.low:.2f}-{share.high:.2f})"


def draw_plot(path: Path, rows: Sequence[Row], ceiling: float) -> None:
    """A PNG: a line for each encoder, a point with its interval for each mode."""
    from matplotlib.figure import Figure

    emoji = any(row.emoji for row in rows)
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(rows)), layout="constrained")
    panels = figure.subplots(
        1, 2 if emoji else 1, sharey=True, squeeze=False, width_ratios=[2, 1][: 1 + emoji]
    )[0]
    ordered = sorted(rows, key=lambda one: max(share.mean for share in one.right.values()))
    for place, mode in enumerate(MODES):
        shares = [row.right[mode] for row in ordered]
        _points(panels[0], shares, 0.2 * (1 - place), COLOURS[mode], WORDS[mode])
    panels[0].axvline(ceiling, color="grey", linestyle="--", label="ceiling of bags of words")
    panels[0].set_xlabel("share of pictures right in everything")
    panels[0].set_yticks(range(len(ordered)), [row.kind for row in ordered])
    panels[0].set_xlim(0, 1)
    panels[0].legend(fontsize="small", loc="lower right")
    if emoji:
        named = [row.emoji or Share(math.nan, math.nan, math.nan, 0) for row in ordered]
        _points(panels[1], named, 0.0, "#8172b2", "emoji")
        panels[1].set_xlabel("emoji found by name (R@1)")
        panels[1].set_xlim(left=0)
    figure.savefig(path, dpi=110)


def _points(panel: object, shares: Sequence[Share], shift: float, colour: str, label: str) -> None:
    means = [share.mean for share in shares]
    errors = [
        [0.0 if math.isnan(share.low) else share.mean - share.low for share in shares],
        [0.0 if math.isnan(share.high) else share.high - share.mean for share in shares],
    ]
    places = [place + shift for place in range(len(shares))]
    panel.errorbar(means, places, xerr=errors, fmt="o", color=colour, label=label, capsize=3, markersize=4)  # pyright: ignore
