"""The model: text encoders, denoisers, noise, the training loop, sampling, metrics. Knows tensors and tar
shards.

As a library, `docs/library.md`: `index_tars` of tars that others wrote, `fit` on them, `load` what came of
it. Nothing is imported before it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdmodel.condition import Condition
    from sdmodel.config.train import TrainConfig
    from sdmodel.data.batch import Batch
    from sdmodel.data.tar_index import index_tars
    from sdmodel.library import fit, load

__all__ = ["Batch", "Condition", "TrainConfig", "fit", "index_tars", "load"]

_MODULES = {
    "Batch": "sdmodel.data.batch",
    "Condition": "sdmodel.condition",
    "TrainConfig": "sdmodel.config.train",
    "fit": "sdmodel.library",
    "index_tars": "sdmodel.data.tar_index",
    "load": "sdmodel.library",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
