"""Expectations: whether a dataset's version is what its run expects (a data quality gate)."""

from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import Reference
from stages.config.expectations import ExpectConfig


def unmet(dataset: Artifact, previous: Reference | None, expect: ExpectConfig) -> tuple[str, ...]:
    """The expectations that a version of a dataset does not meet.

    Args:
        dataset: of shard.
        previous: the version before it that is not on hold; None for the first.
        expect: the limits.

    Returns:
        A sentence for each, with value and limit; empty where all are met.
    """
    rows = dataset.funnel.rows_out
    if rows < expect.min_rows:
        return (f"{rows:,} pictures, fewer than min_rows={expect.min_rows}",)
    return ()
