"""Excerpt: a part of an artifact as the input of a stage."""

from dataclasses import dataclass

from stages.artifacts.artifact import Artifact


@dataclass(frozen=True)
class Excerpt:
    """Some files of an artifact, as an input.

    A fingerprint and a manifest name both, the artifact as `INPUT` and its part as `INPUT.NAME`: an
    artifact's own digest leaves out what it was on its way (`stages.fingerprint.OUTSIDE_DIGEST`), so that it
    cannot say which checkpoint is meant.
    """

    artifact: Artifact
    """What it is a part of."""
    name: str
    """Of the part."""
    digest: str
    """64 hex digits of the part."""
