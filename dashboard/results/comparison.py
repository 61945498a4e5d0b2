"""An evaluation of a model beside those of earlier models of its name, whatever their reports measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboard.catalogue import Contents
from dashboard.lineage.resolution import names_of
from dashboard.versions.flattened import change, numbers
from stages.artifacts.artifact import Artifact

REPORT = "report.json"
EARLIER = 5
"""Versions of the name that are shown beside it."""
MEASURES = 80
"""Measures of the table; the evaluation's own page has all of them."""


@dataclass(frozen=True)
class MeasuredVersion:
    """A version of the name, and how it was measured."""

    reference: str
    model: Artifact
    evaluation: Artifact
    measures: Mapping[str, float]
    differs: str
    """Why its figures are not the same measurement, in words; empty where they are."""


@dataclass(frozen=True)
class Measure:
    """A row of the table."""

    name: str
    values: Sequence[float | None]
    """Of each column; None where it was not measured."""
    changes: Sequence[float | None]
    """The first column's value less each other's."""


@dataclass(frozen=True)
class Comparison:
    """The table."""

    columns: Sequence[MeasuredVersion]
    """The first is the model itself."""
    measures: Sequence[Measure]
    left_out: int
    """Measures for which the table has no room."""


def evaluations(contents: Contents, model: Artifact) -> list[Artifact]:
    """What has measured a model and is there still, the newest first."""
    made = [contents.artifacts[child] for _, child in contents.children.get(model.fingerprint, ())]
    return [each for each in reversed(made) if each.dropped is None and REPORT in each.files]


def compared(contents: Contents, model: Artifact, evaluation: Artifact) -> Comparison:
    """A model's evaluation beside those of the versions before it, of the name that it got last.

    DamagedError: a report is not what was published."""
    columns = [MeasuredVersion("this", model, evaluation, _measures(evaluation), "")]
    names = names_of(contents, model)
    history = contents.histories[names[-1]] if names else ()
    place = next((n for n, entry in enumerate(history) if entry.fingerprint == model.fingerprint), 0)
    seen = {model.fingerprint}
    for entry in reversed(history[:place]):
        earlier = contents.artifacts.get(entry.fingerprint)
        if earlier is None or earlier.fingerprint in seen or len(columns) > EARLIER:
            continue
        seen.add(earlier.fingerprint)
        choices = evaluations(contents, earlier)
        if choices:
            best = min(choices, key=lambda each: len(_differs(evaluation, each)))
            columns.append(
                MeasuredVersion(str(entry), earlier, best, _measures(best), _differs(evaluation, best))
            )
    paths = list(dict.fromkeys(path for column in columns for path in column.measures))
    measures = [_measure(path, columns) for path in paths[:MEASURES]]
    return Comparison(columns, measures, len(paths) - len(measures))


def _measure(path: str, columns: Sequence[MeasuredVersion]) -> Measure:
    values = [column.measures.get(path) for column in columns]
    return Measure(path, values, [change(value, values[0]) for value in values[1:]])


def _measures(evaluation: Artifact) -> Mapping[str, float]:
    """Numbers of the report; how samples were drawn is a choice and no measure, and stands in the config."""
    report = evaluation.json(REPORT)
    return {path: value for path, value in numbers(report).items() if not path.startswith("sampling.")}


def _differs(evaluation: Artifact, other: Artifact) -> str:
    """What two evaluations do not have in common, but for the model."""
    reasons = [
        f"another {name}"
        for name, recorded in other.manifest.inputs.items()
        if name != "model"
        and (recorded or {}).get("digest") != (evaluation.manifest.inputs.get(name) or {}).get("digest")
    ]
    if evaluation.config != other.config:
        reasons.append("other settings")
    if (evaluation.stage, evaluation.manifest.version) != (other.stage, other.manifest.version):
        reasons.append("another version of the measurement")
    return ", ".join(reasons)
