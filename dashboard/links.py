"""Where the pages of an artifact are: the one that suits its kind, and galleries of its rows.

Nothing of the pages themselves is needed to say it, so that flows link to them at no cost.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from stages.artifacts.artifact import Artifact
from stages.kinds.images import IMAGES
from stages.registry import kinds

BASE_URL = re.compile(r"https?://[^\s?#@()<>\[\]\"'\\`|*]+")
"""Nothing of a Markdown page ends within it."""


def checked_base_url(url: str, name: str) -> str:
    """Where others find the pages, without a slash at its end; "" is nowhere.

    Args:
        url: as somebody gave it.
        name: of the option or variable that it was given by.

    Raises:
        ValueError: it is no http or https address, or holds credentials, a query or spaces.
    """
    if url and not BASE_URL.fullmatch(url):
        raise ValueError(f"{name} {url!r} is no address; give one as https://pictures.example.org")
    return url.rstrip("/")


def artifact_path(artifact: Artifact, below: str = "", values: Mapping[str, object] | None = None) -> str:
    """Where an artifact's page is, or a page below it, with a query."""
    path = f"/artifacts/{quote(artifact.stage, safe='')}/{artifact.fingerprint}"
    path += f"/{quote(below)}" if below else ""
    return f"{path}?{urlencode(values)}" if values else path


def special_path(artifact: Artifact) -> str:
    """The page that is made for artifacts of its kind: a model's, a collection's, an evaluation's; else the
    page that every artifact has."""
    kind = kinds().get(artifact.kind)
    if kind is not None and kind.learns:
        return f"/models/{artifact.fingerprint}"
    if artifact.kind == IMAGES.name:
        return f"/collections/{artifact.fingerprint}"
    if "report.json" in artifact.files:
        return f"/evaluations/{artifact.fingerprint}"
    return artifact_path(artifact)


def holds_pictures(artifact: Artifact) -> bool:
    """Whether it has a gallery."""
    kind = kinds().get(artifact.kind)
    return kind is not None and kind.count is not None and artifact.dropped is None


def gallery_path(artifact: Artifact, **where: str) -> str:
    """A gallery of an artifact's rows: `table`, and columns with the values that a row must have."""
    return artifact_path(artifact, "rows", where)


def picture_path(artifact: Artifact, name: str) -> str:
    """Where a drawing is served."""
    return artifact_path(artifact, f"pictures/{name}")


def thumbnail_path(artifact: Artifact, uid: str) -> str:
    """Where a small picture of a row is served."""
    return artifact_path(artifact, f"thumbnails/{uid}")


def work_path(stage: str, fingerprint: str) -> str:
    """The page of a stage at work."""
    return f"/running/{quote(stage, safe='')}/{quote(fingerprint, safe='')}"


def graph_path(artifact: Artifact) -> str:
    """The graph of what an artifact was made from, and of what was made from it."""
    return f"/graph?{urlencode({'artifact': artifact.fingerprint})}"


def diff_path(old: str, new: str) -> str:
    """The page of what differs between two artifacts, by references or fingerprints."""
    return f"/diff?{urlencode({'old': old, 'new': new})}"


def reference_path(name: str) -> str:
    """The page of a name and its versions."""
    return f"/references/{quote(name)}"
