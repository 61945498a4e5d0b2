"""Which files of an artifact are handed out: none in which a picture lies that was taken down.

A take-down counts from its record on. Where its bytes have been purged since, the file is another, and is
handed out again.
"""

from collections.abc import Iterable

from dashboard.catalogue import Contents
from stages.artifacts.artifact import Artifact
from stages.kind import TakenDown
from stages.registry import kinds
from stages.takedown.records import records
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


def taken_down(contents: Contents, artifact: Artifact) -> TakenDown | None:
    """The pictures of all take-downs, by the names that an artifact's collection gives them; None where
    nothing was taken down."""
    everything = records(contents.store)
    sha256s = {sha256 for record in everything for sha256 in record.sha256s}
    uids = {uid for record in everything for uid in record.uids}
    if not sha256s and not uids:
        return None
    images = _collection([artifact, *contents.ancestors(artifact)])
    if images is None or images.dropped is not None:
        return TakenDown(sha256s, frozenset(uids), known=images is None)
    rows = TakenDown(sha256s, frozenset()).rows(images, "images", ["uid"], by="sha256")
    return TakenDown(sha256s, frozenset(uids | {row["uid"] for row in rows}))


def _collection(lineage: Iterable[Artifact]) -> Artifact | None:
    return next((artifact for artifact in lineage if artifact.kind == "images"), None)


def _shows(artifact: Artifact, place: Span | Drawing) -> bool:
    if isinstance(place, Drawing):  # a purged one is grey
        return artifact.entry(place.path) == artifact.manifest.files[place.path]
    data = artifact.read(place.path, place.offset, place.length)
    return data.count(0) != len(data)
