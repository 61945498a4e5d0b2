"""Links to the dashboard, for what Prefect shows: none, unless the environment says where its pages are.

`SDFLOW_DASHBOARD_URL=https://pictures.example.org` is the same that `sdflow dashboard --base-url` reads: the
address where people find the dashboard of the store that runs write to.
"""

import os

from dashboard.links import (
    artifact_path,
    checked_base_url,
    gallery_path,
    graph_path,
    holds_pictures,
    special_path,
)
from stages.artifacts.artifact import Artifact
from stages.foreign_text import escape_markdown
from stages.kinds.rejects import REJECTS

VARIABLE = "SDFLOW_DASHBOARD_URL"
REASONS = 12
"""Reasons whose rows are linked, those of most rows first."""


def dashboard_url() -> str:
    """Where the pages are, without a slash at its end; "": nobody said. ValueError: it is no address."""
    return checked_base_url(os.environ.get(VARIABLE, "").strip(), VARIABLE)


def link_line(artifact: Artifact, base_url: str) -> str:
    """A sentence of Markdown that leads to an artifact's own page."""
    return _link("Open it in the dashboard", base_url, special_path(artifact)) + "."


def link_list(artifact: Artifact, base_url: str) -> list[str]:
    """Lines of Markdown that lead to its pages, one a line: itself, its rows, those that it left out by
    reason, its graph."""
    links = [_link("This result in the dashboard", base_url, special_path(artifact))]
    if special_path(artifact) != artifact_path(artifact):
        links.append(_link("its files, and how to make it again", base_url, artifact_path(artifact)))
    if holds_pictures(artifact):
        links.append(_link("its rows", base_url, gallery_path(artifact)))
    links.append(_link("what it was made from", base_url, graph_path(artifact)))
    lines = [f"- {', '.join(links)}"]
    if artifact.has_table(REJECTS.table) and (reasons := artifact.funnel.ranked_reasons()):
        galleries = [
            _link(f"{reason.replace('_', ' ')} ({rows:,})", base_url, gallery_path(artifact, reason=reason))
            for reason, rows in reasons[:REASONS]
        ]
        lines.append(f"- left out: {', '.join(galleries)}")
    return [*lines, ""]


def _link(words: str, base_url: str, path: str) -> str:
    return f"[{escape_markdown(words)}]({base_url}{path})"
