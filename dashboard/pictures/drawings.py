"""Pictures that a stage has drawn: curves, grids of samples, neighbours; and which of them may be shown.

A drawing may show pictures of a dataset among others. Where one of these was taken down the drawing is not
shown, whether its bytes were purged already (then it is grey) or not. What a dataset holds itself is no
drawing: that goes through thumbnails, which look after take-downs row by row.
"""

from collections.abc import Set as AbstractSet

from dashboard.catalogue import Contents
from dashboard.takedowns.pictures import is_replaced, taken_down
from stages.artifacts.artifact import Artifact
from stages.errors import DamagedError
from stages.registry import kinds
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
