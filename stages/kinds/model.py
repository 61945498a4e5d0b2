"""model: what train and average make. Weights have learned from pictures, and none can be cut out of them.

The grids in `samples/` are what the model draws for captions of the config; none shows a picture of the
dataset.
"""

from stages.artifacts.artifact import Artifact
from stages.kind import Kind, no_pixels


def _derived(model: Artifact) -> dict[str, object]:
    return {"what": "a model trained on it", "images": model.statistics.get("images")}


MODEL = Kind(
    name="model",
    pixels=no_pixels,
    purged="nothing: weights cannot forget; train again",
    derived=_derived,
    learns=True,
    outlives=("dataset", "latents"),
)
