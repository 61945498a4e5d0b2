"""A model: what it learned from and how, its curves and samples, how well it does beside earlier ones."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from dashboard.lineage.resolution import reference_name
from dashboard.links import special_path
from dashboard.page import Page, render
from dashboard.pages.found import artifact_at, known_kind
from dashboard.pictures.drawings import drawings, hidden
from dashboard.results import comparison
from dashboard.results import model as about
from dashboard.results.measures import DRAWINGS, explanation
from dashboard.results.metrics import curves_of
from dashboard.results.report_tables import report_tables
from stages.artifacts.artifact import Artifact
from stages.errors import DamagedError, StageError

router = APIRouter()
T = TypeVar("T")
NEAREST = 24
"""Training images of a page that are nearest to samples."""


@router.get("/models/{fingerprint}")
def model(request: Request, fingerprint: str, scale: str = "", sample: str = "") -> HTMLResponse:
    """A model's page.

    Args:
        request: of the page.
        fingerprint: whole.
        scale: "log", "linear", or empty: each panel's own.
        sample: name of the grid of samples that is shown first; empty: the last.
    """
    contents, artifact = artifact_at(request, fingerprint)
    if not about.is_model(artifact):
        raise HTTPException(404)
    problems: list[str] = []

    def attempt(read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except (DamagedError, StageError, ValueError, LookupError, OSError) as error:
            problems.append(str(error))
            return otherwise

    training = about.training_of(contents, artifact)
    curves = attempt(lambda: curves_of(training), None)
    measured = comparison.evaluations(contents, artifact)
    table = attempt(lambda: comparison.compared(contents, artifact, measured[0]), None) if measured else None
    report: dict[str, Any] = attempt(lambda: measured[0].json(comparison.REPORT), {}) if measured else {}
    seen = [each for each in contents.ancestors(measured[0]) if _is_seen(each)] if measured else []
    no_drawings = frozenset(drawings(measured[0])) if measured else frozenset[str]()
    nearest = about.nearest(report)
    grids = about.samples(training)
    name = reference_name(contents, artifact)
    page = Page(
        title=f"Model {name}",
        about=f"What the model learned from, how it went, and how well it does, of {artifact.short_name}.",
        hint="Open the pictures of its dataset to see what it learned from, or compare its versions.",
        crumbs=(("Home", "/"),),
    )
    return render(
        request,
        "model.html",
        page,
        artifact=artifact,
        contents=contents,
        training=training,
        references=contents.references.get(artifact.fingerprint, ()),
        sources=about.sources(contents, artifact),
        children=[contents.artifacts[child] for _, child in contents.children.get(fingerprint, ())],
        statistics=about.statistics(artifact),
        warnings=artifact.statistics.get("warnings", ()),
        chosen=about.chosen(training),
        choices=attempt(lambda: about.choices(training), {}),
        weights=about.weights(artifact),
        curves=curves,
        scale=scale if scale in ("log", "linear") else "",
        grids=grids,
        first=next((each.name for each in grids if each.name == sample), grids[-1].name if grids else ""),
        evaluations=measured,
        comparison=table,
        explanation=explanation,
        nearest=nearest[:NEAREST],
        nearest_more=max(0, len(nearest) - NEAREST),
        nearest_dataset=seen[0] if seen else None,
        nearest_drawn=bool(measured) and "nearest.png" in drawings(measured[0]),
        hidden=attempt(lambda: hidden(contents, measured[0]), no_drawings) if measured else no_drawings,
        commands=list(about.commands(contents, artifact)),
        problems=problems,
    )


@router.get("/evaluations/{fingerprint}")
def evaluation(request: Request, fingerprint: str) -> HTMLResponse:
    """Everything that an evaluation has measured, and what it drew."""
    contents, artifact = artifact_at(request, fingerprint)
    if artifact.dropped is None and comparison.REPORT not in artifact.files:
        raise HTTPException(404)
    report: dict[str, Any] = {} if artifact.dropped else artifact.json(comparison.REPORT)
    models = [(name, each) for name, each in contents.parents(artifact) if about.is_model(each)]
    page = Page(
        title=f"Evaluation {reference_name(contents, artifact)}",
        about=f"Everything that {artifact.short_name} has measured.",
        hint="Open its model to see these figures beside those of earlier versions.",
        crumbs=(("Home", "/"), *((reference_name(contents, each), special_path(each)) for _, each in models)),
    )
    return render(
        request,
        "evaluation.html",
        page,
        artifact=artifact,
        contents=contents,
        parents=[(name, each, reference_name(contents, each)) for name, each in contents.parents(artifact)],
        tables=report_tables(_without_uids(report)),
        explanation=explanation,
        about_drawings=DRAWINGS,
        drawings=drawings(artifact),
        hidden=hidden(contents, artifact),
    )


def _without_uids(report: dict[str, Any]) -> dict[str, Any]:
    """A report without uids of nearest training images, which the model's page shows as pictures."""
    nearest = report.get("nearest")
    if not isinstance(nearest, dict):
        return report
    return report | {"nearest": {name: value for name, value in nearest.items() if name != "uids"}}  # pyright: ignore[reportUnknownVariableType]


def _is_seen(artifact: Artifact) -> bool:
    """Whether it is a dataset, from which models learn."""
    kind = known_kind(artifact)
    return kind is not None and kind.splits
