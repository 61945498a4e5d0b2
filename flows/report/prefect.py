"""What a step leaves in Prefect for people: a table of its funnel, and a Markdown summary with pictures."""

import re

import httpx
from prefect.artifacts import Artifact as PrefectArtifact
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from stages.artifacts.artifact import Artifact
from stages.foreign_text import escape
from stages.redaction import redact
from stages.report.summary import funnel_rows, summary


def key_of(*words: str) -> str:
    """A key as Prefect allows it, [a-z0-9-]."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def report(artifact: Artifact, name: str) -> None:
    """Leave the artifacts NAME-STAGE-funnel and NAME-STAGE, unless Prefect holds them of this very result.

    A cached step costs one question to the server. A report that fails is a warning: the result stands.

    Args:
        artifact: the step's result.
        name: of the run.
    """
    try:
        key = key_of(name, artifact.stage)
        says = f"{artifact.stage} {artifact.fingerprint}"
        if artifact.cached and _reported(key, says):
            return
        rows = [{"": name, "rows": rows} for name, rows in funnel_rows(artifact)]
        create_table_artifact(rows, key=key_of(name, artifact.stage, "funnel"), description=says)
        create_markdown_artifact(summary(artifact), key=key, description=says)
    except (httpx.HTTPError, PrefectException, OSError, ValueError, KeyError) as error:
        words = escape(redact(str(error)), 2000)
        get_run_logger().warning("no report of %s: %s: %s", artifact.stage, type(error).__name__, words)


def _reported(key: str, says: str) -> bool:
    latest = PrefectArtifact.get(key, _sync=True)  # pyright: ignore[reportCallIssue]
    return latest is not None and latest.description == says
