"""A finished artifact in one line: what people read in a list of results, and in a run's log."""

from datetime import datetime

from stages.artifacts.artifact import Artifact
from stages.units import duration


def sentence(artifact: Artifact, name: str) -> str:
    """Whose result it is, its rows, what became of the others, and what `sdflow show` takes.

    Args:
        artifact: the result.
        name: of the run.

    Returns:
        Markdown: "birds, collect: 37 of 40 rows, left out 2 too_small, 1 not_an_image. `sdflow show
        collect/0123456789ab` tells more."
    """
    rows = rows_in_words(artifact)
    return f"{name}, {artifact.stage}: {rows}. `sdflow show {artifact.short_name}` tells more."


def log_line(artifact: Artifact) -> str:
    """The stage's rows, reasons, time and name, as "collect: 37 of 40 rows, left out 3 too_small; 12 s;
    collect/0123456789ab"; of one that was finished before, since when it is."""
    manifest = artifact.manifest
    if artifact.cached:
        time = f"cached, finished on {manifest.ended[:16].replace('T', ' ')}"
    else:
        started, ended = (datetime.fromisoformat(moment) for moment in (manifest.started, manifest.ended))
        time = duration((ended - started).total_seconds())
    return f"{artifact.stage}: {rows_in_words(artifact)}; {time}; {artifact.short_name}"


def rows_in_words(artifact: Artifact) -> str:
    """Its rows, and what became of the others: "37 of 40 rows, left out 2 too_small, 1 not_an_image"."""
    funnel = artifact.funnel
    reasons = funnel.reasons_in_words()
    return f"{funnel.rows_out:,} of {funnel.rows_in:,} rows{f', left out {reasons}' if reasons else ''}"
