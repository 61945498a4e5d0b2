"""The page that shows a comparison: tables in Markdown between two marks of a page, and a plot."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.compare.cases import MODES, Comparison
from flows.compare.figures import CONFIDENCE, Row, Share, rivals

BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"
"""What stands between them is written anew each time; the rest of the page is its authors'."""
WORDS = {
    "frozen": "pretrained, frozen",
    "joint": "pretrained, learned on",
    "random": "from nothing",
}
COLOURS = {"frozen": "#4c72b0", "joint": "#55a868", "random": "#c44e52"}
SHOWN = "joint"
"""The mode that is told attribute by attribute, the same for all encoders."""


def check_page(path: Path) -> None:
    """ValueError: a comparison cannot be written there; to be asked before anything that takes long."""
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}; make it first")
    if path.exists() and not (BEGIN in (held := path.read_text()) and END in held):
        raise ValueError(f"{path} has no lines {BEGIN} and {END}, between which the comparison belongs")


def write_page(
    path: Path, rows: Sequence[Row], comparison: Comparison, ceilings: Mapping[str, float]
) -> None:
    """Put tables and plot into a page; the plot lies beside it, under its name with ".png".

    Args:
        path: of a Markdown page; one that is not there begins with a title alone.
        rows: what was found.
        comparison: what was compared.
        ceilings: by attribute and for "all", shares right that no reader of bags of words can pass.

    ValueError: see `check_page`.
    """
    check_page(path)
    before = path.read_text() if path.exists() else f"# Text encoders compared\n\n{BEGIN}\n{END}\n"
    plot = path.with_suffix(".png")
    draw_plot(plot, rows, ceilings["all"])
    head, rest = before.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    body = found(rows, comparison, ceilings)
    path.write_text(
        f"{head}{BEGIN}\n![Share of pictures right with each encoder]({plot.name})\n\n{body}\n{END}{tail}"
    )


def found(rows: Sequence[Row], comparison: Comparison, ceilings: Mapping[str, float]) -> str:
    """The comparison in Markdown: table, how to read it, what is decided, attribute by attribute."""
    words = [
        f"Share of {comparison.samples} pictures in which the oracle finds everything that a caption says, "
        "for combinations and phrasings that were never trained on; every denoiser learned for "
        f"{comparison.seconds:g} seconds on one of {comparison.machine or 'the cores'}, on "
        f"{comparison.seconds:g} times as many pictures as it learns from in a second. Mean of "
        f"{comparison.seeds} seeds and its {CONFIDENCE:.0%} interval, the wider of seeds and pictures. "
        "Who reads captions as bags of words cannot pass "
        f"{ceilings['all']:.3f}. Pretraining ({comparison.pretrain_images:,} pictures of the same training "
        "split, captions alone for labels) comes before those seconds and is not counted in them. R@1: test "
        "captions whose own picture the pretrained encoder's tower finds among 64"
        + (
            f"; emoji: names whose own emoji one pretrained on those ({comparison.emoji_images:,} pictures) "
            "finds."
            if comparison.emoji
            else "."
        ),
        decisions(rows),
        per_attribute(rows, ceilings),
    ]
    return table(rows) + "\n\n" + "\n\n".join(words)


def table(rows: Sequence[Row]) -> str:
    """A line for each encoder."""
    emoji = any(row.emoji for row in rows)
    columns = ["encoder", "parameters", "images/s, frozen / learned", *(WORDS[mode] for mode in MODES), "R@1"]
    columns += ["emoji R@1"] if emoji else []
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [
            row.kind,
            f"{row.parameters:,}",
            " / ".join(f"{row.speed[mode]:.0f}" for mode in ("frozen", "random")),
            *(told(row.right[mode]) for mode in MODES),
            f"{row.pretrained.get('r_at_1', math.nan):.3f}",
        ]
        cells += [told(row.emoji) if row.emoji else "-"] if emoji else []
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def decisions(rows: Sequence[Row]) -> str:
    """Who is best, with those whose intervals overlap the best one's: between them nothing is decided."""
    asked = {f"Encoders, {WORDS[mode]}": {row.kind: row.right[mode] for row in rows} for mode in MODES}
    if emoji := {row.kind: row.emoji for row in rows if row.emoji}:
        asked["Encoders, emoji"] = emoji
    for row in rows:
        asked[f"Ways to learn, {row.kind}"] = {WORDS[mode]: row.right[mode] for mode in MODES}
    lines = ["| question | best | undecided: its interval overlaps the best one's |", "|---|---|---|"]
    for question, shares in asked.items():
        best, *others = rivals(shares)
        lines.append(f"| {question} | {best} | {'; '.join(others) or '-'} |")
    return "\n".join(lines)


def per_attribute(rows: Sequence[Row], ceilings: Mapping[str, float]) -> str:
    """What each encoder gets right, attribute by attribute, and what a bag of words can."""
    names = [name for name in rows[0].attributes[SHOWN] if name not in ("all", "clean")]
    lines = [
        f"| {WORDS[SHOWN]} | " + " | ".join([*names, "clean"]) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for row in rows:
        shares = " | ".join(f"{row.attributes[SHOWN][name]:.2f}" for name in [*names, "clean"])
        lines.append(f"| {row.kind} | {shares} |")
    most = " | ".join(f"{ceilings[name]:.2f}" if name in ceilings else "-" for name in names)
    lines.append(f"| *a bag of words, at most* | {most} | - |")
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
    figure = Figure(figsize=(9, max(2.5, 1.5 + 0.45 * len(rows))), layout="constrained")
    panels = figure.subplots(
        1, 2 if emoji else 1, sharey=True, squeeze=False, width_ratios=[2, 1][: 1 + emoji]
    )[0]
    ordered = rows[::-1]  # the best on top
    for place, mode in enumerate(MODES):
        shares = [row.right[mode] for row in ordered]
        _points(panels[0], shares, 0.2 * (1 - place), COLOURS[mode], WORDS[mode])
    panels[0].axvline(ceiling, color="grey", linestyle="--", label="ceiling of bags of words")
    panels[0].set_xlabel("share of pictures right in everything")
    panels[0].set_yticks(range(len(ordered)), [row.kind for row in ordered])
    panels[0].set_xlim(0, 1)
    panels[0].set_ylim(-0.5, len(ordered) - 0.5)
    figure.legend(fontsize="small", loc="outside upper center", ncols=len(MODES) + 1)
    if emoji:
        named = [row.emoji or Share(math.nan, math.nan, math.nan, 0) for row in ordered]
        _points(panels[1], named, 0.0, "#8172b2", "")
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
