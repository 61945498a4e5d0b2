"""Why nothing is left: the first stage of a line that passed no row on, and what became of its rows."""

from collections.abc import Iterable

from stages.artifacts.artifact import Artifact, Funnel


def emptied(stage: str, funnel: Funnel, inputs: Iterable[object] = ()) -> str:
    """In words, which stage lost the last rows: this one, or the first of those that it got its inputs from.

    Args:
        stage: name of the stage that passed no row on.
        funnel: of its rows.
        inputs: of the stage; those that are artifacts are asked first.
    """
    for artifact in inputs:
        if isinstance(artifact, Artifact) and artifact.funnel.rows_out == 0:
            return emptied_by(artifact)
    if not funnel.rows_in:
        return f"{stage} was given no row at all; look at what its sources name"
    verb = "took in" if stage == "collect" else "passed on"
    return (
        f"{stage} {verb} 0 of {funnel.rows_in:,} rows: {funnel.reasons_in_words()} "
        f"({_REMEDIES.get(stage, 'its rejects.parquet says why, row by row')})"
    )


def emptied_by(artifact: Artifact) -> str:
    """The same of a finished artifact without rows, by its line."""
    inputs = (artifact.input(name) for name in artifact.manifest.inputs)
    return emptied(artifact.stage, artifact.funnel, inputs)


_REMEDIES = {
    "collect": "its rejects.parquet says why, row by row; `sdflow collect CONFIG --dry-run` looks beforehand",
    "filter": "loosen the filter",
}
