"""What differs between two artifacts of one stage: choices, inputs, funnel, figures, and where up the line it
began."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboard.catalogue import Contents
from dashboard.versions.flattened import Difference, differences
from stages.artifacts.artifact import Artifact

MOST = 150
"""Differences of a table; of more, the first."""
CHOICE = 120
"""Characters of a choice and its two values where the line is told."""
ROWS_IN, ROWS_OUT = "rows in", "rows out"


@dataclass(frozen=True)
class InputDifference:
    """An input that is another now."""

    name: str
    old: Artifact | None
    """None where there was none, or it is from outside the store, or nothing is known of it."""
    new: Artifact | None
    old_digest: str
    new_digest: str


@dataclass(frozen=True)
class FunnelRow:
    """An outcome of the rows, in both."""

    outcome: str
    old: int
    new: int

    @property
    def change(self) -> int:
        return self.new - self.old


@dataclass(frozen=True)
class StageDifference:
    """A stage up the line, with the artifact that each of the two goes back to."""

    stage: str
    old: Artifact
    new: Artifact
    why: tuple[str, ...]
    """What is not the same, in words; empty where both go back to one artifact."""


def config_differences(old: Artifact, new: Artifact) -> list[Difference]:
    """Choices that are not the same; what was left at its default is no part of a config, and is absent."""
    return differences(old.config, new.config)


def statistics_differences(old: Artifact, new: Artifact) -> list[Difference]:
    """Figures that are not the same; what a run merely found or made of its parts is none."""
    sides = [
        {name: value for name, value in side.statistics.items() if name != "parts"} for side in (old, new)
    ]
    return differences(*sides)


def funnel_differences(old: Artifact, new: Artifact) -> list[FunnelRow]:
    """Rows in, every reason of either (most rows of the new one first), rows out."""
    before, after = old.funnel, new.funnel
    reasons = sorted(
        {*before.reasons, *after.reasons},
        key=lambda reason: (-after.reasons.get(reason, 0), -before.reasons.get(reason, 0), reason),
    )
    return [
        FunnelRow(ROWS_IN, before.rows_in, after.rows_in),
        *(FunnelRow(each, before.reasons.get(each, 0), after.reasons.get(each, 0)) for each in reasons),
        FunnelRow(ROWS_OUT, before.rows_out, after.rows_out),
    ]


def input_differences(contents: Contents, old: Artifact, new: Artifact) -> list[InputDifference]:
    """Inputs with another digest."""
    before, after = old.manifest.inputs, new.manifest.inputs
    changed: list[InputDifference] = []
    for name in dict.fromkeys([*after, *before]):
        sides = [dict(inputs.get(name) or {}) for inputs in (before, after)]
        digests = [side.get("digest", "") for side in sides]
        if digests[0] != digests[1]:
            artifacts = [contents.artifacts.get(side.get("fingerprint", "")) for side in sides]
            changed.append(InputDifference(name, artifacts[0], artifacts[1], digests[0], digests[1]))
    return changed


def made_by(old: Artifact, new: Artifact) -> list[str]:
    """What is not the same of how they were made, apart from choices and inputs."""
    reasons: list[str] = []
    if old.manifest.version != new.manifest.version:
        reasons.append(f"version {new.manifest.version} of the stage, before {old.manifest.version}")
    if old.manifest.code != new.manifest.code:
        reasons.append(f"code {new.manifest.code[:12]}, before {old.manifest.code[:12]}")
    libraries = differences(old.manifest.libraries, new.manifest.libraries)
    reasons += [f"{each.path} {each.new}, before {each.old}" for each in libraries[:12]]
    return reasons


def line_differences(contents: Contents, old: Artifact, new: Artifact) -> list[StageDifference]:
    """The stages that both go back to, the first of the line first, and what is not the same at each: so the
    first with an answer is where the two part ways."""
    before, after = (_line(contents, side) for side in (old, new))
    return [
        StageDifference(stage, before[stage], artifact, tuple(_why(contents, before[stage], artifact)))
        for stage, artifact in sorted(after.items(), key=lambda item: item[1].manifest.ended)
        if stage in before
    ]


def _line(contents: Contents, artifact: Artifact) -> Mapping[str, Artifact]:
    """The nearest artifact of each stage that one goes back to."""
    nearest: dict[str, Artifact] = {}
    for each in contents.ancestors(artifact):
        nearest.setdefault(each.stage, each)
    return nearest


def _why(contents: Contents, old: Artifact, new: Artifact) -> Sequence[str]:
    if old.fingerprint == new.fingerprint:
        return []
    choices = [f"{each.path} {each.old} → {each.new}"[:CHOICE] for each in config_differences(old, new)]
    reasons = (
        [f"choices: {'; '.join(choices[:6])}" + (" and more" if len(choices) > 6 else "")] if choices else []
    )
    inputs = [each.name for each in input_differences(contents, old, new)]
    reasons += [f"inputs: {', '.join(inputs[:6])}"] if inputs else []
    if old.manifest.version != new.manifest.version:
        reasons.append("version of the stage")
    if old.digest == new.digest:
        reasons.append("and yet the same result")
    return reasons or ["made again"]
