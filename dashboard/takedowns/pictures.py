"""Which pictures of an artifact were taken down, and whether a file was made grey since."""

from dashboard.catalogue import Contents
from stages.artifacts.artifact import Artifact
from stages.kind import TakenDown
from stages.takedown.records import records


def taken_down(contents: Contents, artifact: Artifact) -> TakenDown | None:
    """The pictures of all take-downs under the names that an artifact's collection gives them; None where
    nothing was taken down. Take-downs are read anew.

    DamagedError: a take-down, or the collection's table, cannot be read."""
    takedowns = records(contents.store)
    sha256s = {sha256 for record in takedowns for sha256 in record.sha256s}
    uids = {uid for record in takedowns for uid in record.uids}
    if not sha256s and not uids:
        return None
    lineage = (artifact, *contents.ancestors(artifact))
    images = next((each for each in lineage if each.kind == "images"), None)
    if images is None or images.dropped is not None:
        return TakenDown(sha256s, frozenset(uids), known=images is None)
    rows = TakenDown(sha256s, frozenset()).rows(images, "images", ["uid"], by="sha256")
    return TakenDown(sha256s, frozenset(uids | {row["uid"] for row in rows}))


def is_replaced(artifact: Artifact, name: str) -> bool:
    """Whether a purge has put another file, plain grey, into a drawing's place."""
    original = artifact.manifest.files.get(name)
    return original is not None and original.sha256 != artifact.files[name].sha256
