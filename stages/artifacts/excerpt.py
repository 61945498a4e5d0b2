"""Excerpt: a part of an artifact as the input of a stage."""

from dataclasses import dataclass

from stages.artifacts.artifact import Artifact


@dataclass(frozen=True)
class Excerpt:
    """Some files of an artifact: an input is named by their digest alone, and its lineage is the artifact's.

    An artifact's own digest leaves out what it was on its way (`stages.fingerprint.OUTSIDE_DIGEST`), so that
    it cannot name a checkpoint.
    """

    artifact: Artifact
    """What it is a part of."""
    digest: str
    """64 hex digits of the part."""
