"""The report of an evaluation as Markdown; report.json holds the same figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.fingerprint import short_hash
from stages.foreign_text import escape_markdown


def markdown(report: Mapping[str, Any]) -> str:
    """The report for people: what was measured, and what was not and why."""
    lines = [f"# Evaluation of {short_hash(report['model'])} on {short_hash(report['dataset'])}", ""]
    pictures = (_reconstruction, _recognition, _oracle, _similarity, _nearest)
    for section in (_notice, _validation, _retrieval, _understanding, *pictures):
        lines += section(report)
    return "\n".join(lines).rstrip() + "\n"


def _notice(report: Mapping[str, Any]) -> list[str]:
    return [f"**{report['notice']}**", ""] if report.get("notice") else []


def _validation(report: Mapping[str, Any]) -> list[str]:
    if "validation" not in report:
        return []
    found = report["validation"]
    if not found:
        return ["## Validation loss", "", "Not measured: the validation split has fewer than 2 images.", ""]
    rows = [
        [f"{level['from']:.3f}-{level['to']:.3f}"]
        + [f"{level[name]:.5f}" for name in ("mse", "mae", "r2", "mse_shuffled")]
        for level in found["levels"]
    ]
    gain = 1 - found["mse"] / found["mse_shuffled"] if found["mse_shuffled"] else 0.0
    return [
        "## Validation loss",
        "",
        f"x0-prediction on {found['rows']} images of the validation split, fixed times and noise, pixels "
        f"in [-1, 1]: "
        f"MSE {found['mse']:.5f}, MAE {found['mae']:.5f}, R2 {found['r2']:.4f}. With captions of other "
        f"images the MSE is "
        f"{found['mse_shuffled']:.5f}: the right captions lower it by {gain:.1%}.",
        "",
        *_table(["t (0 noise, 1 data)", "MSE", "MAE", "R2", "MSE, captions of others"], rows),
        "",
    ]


def _retrieval(report: Mapping[str, Any]) -> list[str]:
    found = report.get("retrieval")
    if not found:
        return []
    return [
        "## Retrieval",
        "",
        f"Of {found['of']} pictures the one that a caption is of is found first in {found['r_at_1']:.1%} "
        f"of {found['rows']} captions of the {found['split']} split.",
        "",
    ]


def _understanding(report: Mapping[str, Any]) -> list[str]:
    found = report.get("understanding")
    if not found:
        return []
    heads = {
        f"label {escape_markdown(column)}": figures for column, figures in found.get("labels", {}).items()
    }
    heads |= {f"{name} token": found[name] for name in ("masked", "next") if name in found}
    rows = [
        [name, f"{figures['right']:.1%}", f"{figures['constant']:.1%}", str(figures["of"])]
        for name, figures in heads.items()
    ]
    lines = ["## Understanding", "", f"On {found['rows']} pictures of the {found['split']} split.", ""]
    if rows:
        lines += [*_table(["predicted", "right", "best constant guess", "of"], rows), ""]
    if "r_at_1" in found:
        words = f"Of {found['of']} pictures the one that a caption is of is found first in "
        lines += [f"{words}{found['r_at_1']:.1%} of the captions.", ""]
    if "flips" in found:
        lines += [f"The noise of its training turns {found['flips']:.1%} of its predictions.", ""]
    return lines


def _reconstruction(report: Mapping[str, Any]) -> list[str]:
    found = report.get("reconstruction")
    if not found:
        return []
    return [
        "## Reconstruction",
        "",
        f"{found['rows']} pictures of the {found['split']} split, from the mean of their latents, pixels in "
        f"[-1, 1]: PSNR {found['psnr']:.2f} dB, MSE {found['mse']:.5f}, MAE {found['mae']:.5f}. "
        "grid.png shows some, and beside them what came back.",
        "",
    ]


def _recognition(report: Mapping[str, Any]) -> list[str]:
    found = report.get("recognition")
    if not found:
        return []
    return [
        "## Recognition",
        "",
        f"Cropped and mirrored, a picture is known again among {found['of']} in {found['r_at_1']:.1%} of "
        f"{found['rows']} of the {found['split']} split.",
        "",
    ]


def _oracle(report: Mapping[str, Any]) -> list[str]:
    found = report.get("oracle")
    if not found:
        return []
    names = [name for name in found if name != "samples"]
    return [
        "## Oracle",
        "",
        f"{found['samples']} samples for captions whose combination and phrasing were never trained on:",
        "",
        *_table(names, [[f"{found[name]:.3f}" for name in names]]),
        "",
    ]


def _similarity(report: Mapping[str, Any]) -> list[str]:
    if "similarity" not in report:
        return []
    found = report["similarity"]
    if not found:
        return [
            "## Similarity",
            "",
            "Not measured: this run has no CLIP (`evaluate.clip` is empty), or no captions.",
            "",
        ]
    return [
        "## Similarity",
        "",
        f"Mean cosine of sample and caption {found['mean']:.4f} over {found['samples']} samples; with "
        f"captions of other "
        f"samples {found['shuffled']:.4f}. Judged by {found['clip']}.",
        "",
    ]


def _nearest(report: Mapping[str, Any]) -> list[str]:
    found = report.get("nearest")
    if not found:
        return []
    return [
        "## Nearest training images",
        "",
        f"Root mean square distance of a shown sample to its nearest training image: median "
        f"{found['median']:.4f}, "
        f"least {found['least']:.4f} (0 is a copy; pixels in [0, 1]). nearest.png shows the pairs.",
        "",
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
