"""clusters: what cluster makes, labels from captions. No pixel is read."""

from stages.kind import Kind, RowTrace, no_pixels

CLUSTERS = Kind(
    name="clusters",
    pixels=no_pixels,
    purged="nothing: labels are made from captions",
    outlives=("dataset",),
    trace=(RowTrace("clusters", "clustered", ("cluster",)),),
)
