"""Pictures that a stage has drawn: curves, grids of samples, neighbours; and which of them may be shown.

A drawing may show pictures of a dataset among others. Where one of these was taken down the drawing is not
shown, whether its bytes were purged already (then it is grey) or not. What a dataset holds itself is no
drawing: that goes through thumbnails, which look after take-downs row by row.
"""

from collections.abc import Set as AbstractSet

from dashboard.catalogue import Contents
from stages.artifacts.artifact import Artifact
from stages.errors import DamagedError
from stages.kind import TakenDown
from stages.registry import kinds
from stages.takedown.records import records
from stages.takedown.spans import Drawing

PNG = b"\x89PNG\r\n\x1a\n"
LARGEST = 64 * 10**6
"""Bytes of a drawing that is served."""


class HiddenError(Exception):
    """A drawing that is not shown, and why."""


def drawings(artifact: Artifact, prefix: str = "") -> list[str]:
    """Sorted names of the PNG files that a stage has drawn; none of kinds that hold pictures of rows, and of
    kinds that this version does not know."""
    kind = kinds().get(artifact.kind)
    if kind is None or kind.count is not None or artifact.dropped is not None:
        return []
    return [name for name in artifact.names(prefix) if name.endswith(".png")]


def drawing(contents: Contents, artifact: Artifact, name: str) -> bytes:
    """The bytes of a drawing, compared with their hash.

    Raises:
        LookupError: there is no such drawing.
        HiddenError: it shows a picture that was taken down.
        DamagedError: it is not what was published.
    """
    if name not in drawings(artifact):
        raise LookupError(name)
    if name in hidden(contents, artifact):
        raise HiddenError("This drawing shows a picture that was taken down, and is not served.")
    if artifact.entry(name).size > LARGEST:
        raise HiddenError(f"This drawing has more than {LARGEST // 10**6} MB; export the artifact to see it.")
    data = artifact.read(name)
    if not data.startswith(PNG):
        raise DamagedError(f"{name} of {artifact.short_name} is no PNG file")
    return data


def is_replaced(artifact: Artifact, name: str) -> bool:
    """Whether a purge has put another file, plain grey, into its place."""
    own = artifact.manifest.files.get(name)
    return own is not None and own.sha256 != artifact.files[name].sha256


def hidden(contents: Contents, artifact: Artifact) -> AbstractSet[str]:
    """Names of the drawings that show a picture which was taken down, purged ones left out: they are grey.

    DamagedError: what would tell cannot be read."""
    kind = kinds().get(artifact.kind)
    if kind is None or artifact.dropped is not None or not drawings(artifact):
        return frozenset()
    pictures = taken_down(contents, artifact)
    if pictures is None:
        return frozenset()
    shown = {place.path for place in kind.pixels(artifact, pictures) if isinstance(place, Drawing)}
    return {name for name in shown if not is_replaced(artifact, name)}


def taken_down(contents: Contents, artifact: Artifact) -> TakenDown | None:
    """The pictures of all take-downs under the names that an artifact's collection gives them; None where
    nothing was taken down."""
    takedowns = records(contents.store)
    sha256s = {sha256 for record in takedowns for sha256 in record.sha256s}
    uids = {uid for record in takedowns for uid in record.uids}
    if not sha256s and not uids:
        return None
    lineage = (artifact, *contents.ancestors(artifact))
    images = next((each for each in lineage if each.has_table("images") or each.kind == "images"), None)
    if images is None or images.dropped is not None:
        return TakenDown(sha256s, frozenset(uids), known=images is None)
    rows = TakenDown(sha256s, frozenset()).rows(images, "images", ["uid"], by="sha256")
    return TakenDown(sha256s, frozenset(uids | {row["uid"] for row in rows}))
