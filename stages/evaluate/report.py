"""The report of an evaluation as Markdown; report.json holds the same figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.fingerprint import short_hash
from stages.foreign_text import escape_markdown

PROMPTED = {
    "text": "",
    "picture": ", asked for by another picture of what they say, without them",
    "both": ", asked for by them and by another picture of what they say",
}
"""How the oracle's samples were asked for, by `evaluate.oracle_prompts`."""


def markdown(report: Mapping[str, Any]) -> str:
    """The report for people: what was measured, and what was not and why."""
    lines = [f"# Evaluation of {short_hash(report['model'])} on {short_hash(report['dataset'])}", ""]
    alone = (_reconstruction, _recognition, _probes, _discriminator)
    drawn = (_samples, _oracle, _similarity, _frechet, _nearest)
    for section in (_notice, _validation, _retrieval, _understanding, *alone, *drawn):
        lines += section(report)
    return "\n".join(lines).rstrip() + "\n"


def _notice(report: Mapping[str, Any]) -> list[str]:
    return [f"**{report['notice']}**", ""] if report.get("notice") else []


def _validation(report: Mapping[str, Any]) -> list[str]:
    if "validation" not in report:
        return []
    figures = report["validation"]
    if not figures:
        return ["## Validation loss", "", "Not measured: the validation split has fewer than 2 images.", ""]
    rows = [
        [f"{level['from']:.3f}-{level['to']:.3f}"]
        + [f"{level[name]:.5f}" for name in ("mse", "mae", "r2", "mse_shuffled")]
        for level in figures["levels"]
    ]
    gain = 1 - figures["mse"] / figures["mse_shuffled"] if figures["mse_shuffled"] else 0.0
    return [
        "## Validation loss",
        "",
        f"x0-prediction on {figures['rows']} images of the validation split, fixed times and noise, pixels "
        f"in [-1, 1]: "
        f"MSE {figures['mse']:.5f}, MAE {figures['mae']:.5f}, R2 {figures['r2']:.4f}. With captions of other "
        f"images the MSE is "
        f"{figures['mse_shuffled']:.5f}: the right captions lower it by {gain:.1%}.",
        "",
        *_table(["t (0 noise, 1 data)", "MSE", "MAE", "R2", "MSE, captions of others"], rows),
        "",
    ]


def _retrieval(report: Mapping[str, Any]) -> list[str]:
    figures = report.get("retrieval")
    if not figures:
        return []
    return [
        "## Retrieval",
        "",
        f"Of {figures['of']} pictures the one that a caption is of is found first in {figures['r_at_1']:.1%} "
        f"of {figures['rows']} captions of the {figures['split']} split.",
        "",
    ]


def _understanding(report: Mapping[str, Any]) -> list[str]:
    understanding = report.get("understanding")
    if not understanding:
        return []
    heads = {
        f"label {escape_markdown(column)}": figures
        for column, figures in understanding.get("labels", {}).items()
    }
    heads |= {f"{name} token": understanding[name] for name in ("masked", "next") if name in understanding}
    rows = [
        [name, f"{figures['right']:.1%}", f"{figures['constant']:.1%}", str(figures["of"])]
        for name, figures in heads.items()
    ]
    lines = [
        "## Understanding",
        "",
        f"On {understanding['rows']} pictures of the {understanding['split']} split.",
        "",
    ]
    if rows:
        lines += [*_table(["predicted", "right", "best constant guess", "of"], rows), ""]
    if "r_at_1" in understanding:
        words = f"Of {understanding['of']} pictures the one that a caption is of is found first in "
        lines += [f"{words}{understanding['r_at_1']:.1%} of the captions.", ""]
    if "flips" in understanding:
        lines += [f"The noise of its training turns {understanding['flips']:.1%} of its predictions.", ""]
    return lines


def _reconstruction(report: Mapping[str, Any]) -> list[str]:
    figures = report.get("reconstruction")
    if not figures:
        return []
    perceptual = f", perceptual distance {figures['perceptual']:.4f}" if "perceptual" in figures else ""
    return [
        "## Reconstruction",
        "",
        f"{figures['rows']} pictures of the {figures['split']} split, from the mean of their latents, pixels "
        f"in [-1, 1]: PSNR {figures['psnr']:.2f} dB, SSIM {figures['ssim']:.4f}, MSE {figures['mse']:.5f}, "
        f"MAE {figures['mae']:.5f}{perceptual}. grid.png shows some, and beside them what came back.",
        "",
    ]


def _discriminator(report: Mapping[str, Any]) -> list[str]:
    figures = report.get("discriminator")
    if not figures:
        return []
    rows = f"{figures['rows']} pictures of the {figures['split']} split"
    if "real_over_fake" in figures:
        words = (
            f"Of {rows}, each beside each of {figures['samples']} samples, it takes the picture for the more "
            f"real one in {figures['real_over_fake']:.1%} of the pairs; half is what it would guess."
        )
    else:
        words = (
            f"It takes {figures['real_as_real']:.1%} of {rows} for real, and {figures['fake_as_fake']:.1%} "
            f"of {figures['samples']} samples for generated; half of both is what it would guess."
        )
    return ["## Discriminator", "", words, ""]


def _recognition(report: Mapping[str, Any]) -> list[str]:
    figures = report.get("recognition")
    if not figures:
        return []
    return [
        "## Recognition",
        "",
        f"Cropped and mirrored, a picture is known again among {figures['of']} in {figures['r_at_1']:.1%} of "
        f"{figures['rows']} of the {figures['split']} split.",
        "",
    ]


def _probes(report: Mapping[str, Any]) -> list[str]:
    if "probes" not in report:
        return []
    columns = report["probes"]
    if not columns:
        words = "Not measured: no split is there but the one that would be learned from."
        return ["## Labels", "", words, ""]
    names = ("linear", "neighbours", "pixels_linear", "pixels_neighbours", "majority")
    rows = [
        [escape_markdown(column), *(f"{figures[name]:.1%}" for name in names), *map(str, counts)]
        for column, figures in columns.items()
        if "unmeasured" not in figures
        for counts in [(figures["classes"], figures["learned"], figures["rows"])]
    ]
    head = ["column", "linear probe", "nearest neighbours", "probe of pixels", "neighbours by pixels"]
    words = "Labels that are told right by frozen features, by small pictures, and by the commonest class:"
    table = _table([*head, "commonest class", "classes", "learned from", "of"], rows)
    unmeasured = [
        f"Not measured: {escape_markdown(figures['unmeasured'])}."
        for figures in columns.values()
        if "unmeasured" in figures
    ]
    return [
        "## Labels",
        "",
        *([words, "", *table, ""] if rows else []),
        *(line for reason in unmeasured for line in (reason, "")),
    ]


def _samples(report: Mapping[str, Any]) -> list[str]:
    sampling = report.get("sampling")
    if not sampling:
        return []
    begin, end = sampling["interval"]
    words = f"Drawn by {sampling['sampler']} in {sampling['steps']} steps"
    if sampling["guidance"] != 1:
        words += f", guidance {sampling['guidance']:g} from time {begin:g} (0 is noise) to {end:g}"
    if sampling["rescale"]:
        words += f", rescaled by {sampling['rescale']:g}"
    if sampling["negative"]:
        words += f', away from "{escape_markdown(sampling["negative"])}"'
    return ["## Samples", "", f"{words}.", ""]


def _oracle(report: Mapping[str, Any]) -> list[str]:
    oracle = report.get("oracle")
    if not oracle:
        return []
    names = [name for name in oracle if name != "samples"]
    return [
        "## Oracle",
        "",
        f"{oracle['samples']} samples for captions whose combination and phrasing were never trained on"
        f"{PROMPTED[report.get('oracle_prompts', 'text')]}:"
        if "all" in oracle
        else f"{oracle['samples']} samples that no caption asked for:",
        "",
        *_table(names, [[f"{oracle[name]:.3f}" for name in names]]),
        "",
    ]


def _similarity(report: Mapping[str, Any]) -> list[str]:
    if "similarity" not in report:
        return []
    figures = report["similarity"]
    if not figures:
        return [
            "## Similarity",
            "",
            "Not measured: this run has no CLIP (`evaluate.clip` is empty), or no captions.",
            "",
        ]
    return [
        "## Similarity",
        "",
        f"Mean cosine of sample and caption {figures['mean']:.4f} over {figures['samples']} samples; with "
        f"captions of other "
        f"samples {figures['shuffled']:.4f}. Judged by {figures['clip']}.",
        "",
    ]


def _frechet(report: Mapping[str, Any]) -> list[str]:
    if "frechet" not in report:
        return []
    figures = report["frechet"]
    if not figures:
        return [
            *("## Distance of samples from pictures", ""),
            "Not measured: fewer than 2 samples for captions of the split, or fewer than 2 pictures in it.",
            "",
        ]
    return [
        "## Distance of samples from pictures",
        "",
        f"Frechet distance in the {figures['features']} features of the image encoder {figures['encoder']}: "
        f"{figures['distance']:.4f}, of {figures['samples']} samples from {figures['pictures']} pictures of "
        f"the {figures['split']} split. Figures of other encoders or other counts do not compare with it.",
        "",
    ]


def _nearest(report: Mapping[str, Any]) -> list[str]:
    nearest = report.get("nearest")
    if not nearest:
        return []
    return [
        "## Nearest training images",
        "",
        f"Root mean square distance of a shown sample to its nearest training image: median "
        f"{nearest['median']:.4f}, "
        f"least {nearest['least']:.4f} (0 is a copy; pixels in [0, 1]). nearest.png shows the pairs.",
        "",
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
