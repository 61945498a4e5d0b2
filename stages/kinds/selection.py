"""selection: what filter makes. Its tables name pictures and hold none."""

from stages.kind import Kind, RowTrace, no_pixels
from stages.kinds.rejects import REJECTS

SELECTION = Kind(
    name="selection",
    pixels=no_pixels,
    purged="nothing: tables name pictures and hold none",
    trace=(REJECTS, RowTrace("selection", "selected", ("cluster", "multiplicity", "similarity"))),
)
