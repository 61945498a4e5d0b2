"""Where the pages of an artifact are: the one that suits its kind, and galleries of its rows."""

from urllib.parse import quote, urlencode

from dashboard.page import artifact_path
from stages.artifacts.artifact import Artifact
from stages.kinds.images import IMAGES
from stages.registry import kinds


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


def diff_path(old: str, new: str) -> str:
    """The page of what differs between two artifacts, by references or fingerprints."""
    return f"/diff?{urlencode({'old': old, 'new': new})}"


def reference_path(name: str) -> str:
    """The page of a name and its versions."""
    return f"/references/{quote(name)}"
