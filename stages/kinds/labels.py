"""labels: what label makes, pseudo-labels of pictures. No pixel can be made from it."""

from stages.kind import Kind, RowTrace, no_pixels

LABELS = Kind(
    name="labels",
    pixels=no_pixels,
    purged="nothing: a label is a class of the dataset's, and how sure it is",
    outlives=("dataset",),
    trace=(RowTrace("labels", "labelled", ("label", "confidence")),),
)
"""How pictures without a label get one."""
