"""pace: what is measured of a training's speed, figures alone."""

from stages.kind import Kind, no_pixels

PACE = Kind(name="pace", pixels=no_pixels, purged="nothing: figures alone")
