"""Which files of an artifact are handed out: none in which a picture lies that was taken down.

A take-down counts from its record on. Where its bytes have been purged since, the file is another, and is
handed out again.
"""

from dashboard.catalogue import Contents
from dashboard.takedowns.pictures import is_replaced, taken_down
from stages.artifacts.artifact import Artifact
from stages.registry import kinds
from stages.takedown.spans import Drawing, Span


def withheld(contents: Contents, artifact: Artifact, name: str) -> str:
    """Why a file is not handed out, in a sentence; "" where it is.

    Args:
        contents: of the store; take-downs are read anew.
        artifact: finished.
        name: of one of its files.

    Raises:
        DamagedError: a take-down, or a table that says where pictures lie, cannot be read.
    """
    pictures = taken_down(contents, artifact)
    if pictures is None:
        return ""
    kind = kinds().get(artifact.kind)
    if kind is None:
        return (
            f"Pictures were taken down, and this version does not know where results of kind {artifact.kind} "
            "have theirs: their files are not handed out."
        )
    places = (place for place in kind.pixels(artifact, pictures) if place.path == name)
    if any(_shows(artifact, place) for place in places):
        return (
            f"{name} shows a picture that was taken down; it can be downloaded again once the take-down is "
            "purged (sdflow forget --purge)."
        )
    return ""


def _shows(artifact: Artifact, place: Span | Drawing) -> bool:
    if isinstance(place, Drawing):
        return not is_replaced(artifact, place.path)
    data = artifact.read(place.path, place.offset, place.length)
    return data.count(0) != len(data)
