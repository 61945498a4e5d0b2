"""What a step leaves in Prefect for people: a table of its funnel, and a Markdown summary with pictures.

Where the environment says where the dashboard is, they link to its pages.
"""

import re
from typing import Any

import httpx
from prefect.artifacts import Artifact as PrefectArtifact
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from flows.report.dashboard import dashboard_url, link_line, link_list
from stages.artifacts.artifact import Artifact
from stages.foreign_text import escape
from stages.redaction import redact
from stages.report.sentence import log_line, sentence
from stages.report.summary import FUNNEL_COLUMNS, funnel_rows, summary


def key_of(*words: str) -> str:
    """A key as Prefect allows it, [a-z0-9-]."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def report(artifact: Artifact, name: str) -> str:
    """Leave a line in the run's log, and the artifacts NAME-STAGE-funnel and NAME-STAGE, unless Prefect has
    them of this very result.

    A cached step costs one question to the server. A report that fails is a warning: the result stands.

    Args:
        artifact: the step's result.
        name: of the run.

    Returns:
        What the artifacts are described by, Markdown.
    """
    base_url = _dashboard_url()
    description = sentence(artifact, name)
    description += f" {link_line(artifact, base_url)}" if base_url else ""
    get_run_logger().info(log_line(artifact))
    try:
        key = key_of(name, artifact.stage)
        if artifact.cached and _is_reported(key, description):
            return description
        table: list[dict[str, Any]] = [
            dict(zip(FUNNEL_COLUMNS, row, strict=True)) for row in funnel_rows(artifact)
        ]
        create_table_artifact(table, key=key_of(name, artifact.stage, "funnel"), description=description)
        links = link_list(artifact, base_url) if base_url else ()
        create_markdown_artifact(summary(artifact, links), key=key, description=description)
    except (httpx.HTTPError, PrefectException, OSError, ValueError, KeyError) as error:
        words = escape(redact(str(error)), 2000)
        get_run_logger().warning("no report of %s: %s: %s", artifact.stage, type(error).__name__, words)
    return description


def _dashboard_url() -> str:
    """Where the dashboard is; a worker's mistake in it costs the links, and a warning, not the report."""
    try:
        return dashboard_url()
    except ValueError as error:
        get_run_logger().warning("no links to the dashboard: %s", escape(redact(str(error)), 2000))
        return ""


def _is_reported(key: str, description: str) -> bool:
    """Whether what Prefect shows last under a key is of this result: descriptions hold its short name."""
    latest = PrefectArtifact.get(key, _sync=True)  # pyright: ignore[reportCallIssue]
    return latest is not None and latest.description == description
