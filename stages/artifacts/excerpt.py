"""Excerpt: a part of an artifact as the input of a stage."""

from collections.abc import Mapping
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


def origin_of(name: str, inputs: Mapping[str, object]) -> str:
    """Where an input of a manifest comes from that no stage has made, in words: "start.state" is a part of
    "start", all else is from outside the store."""
    whole = name.rpartition(".")[0]
    return f"a part of {whole}" if whole in inputs else "outside"
