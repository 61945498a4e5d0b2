"""What a condition beside the caption is: a file each, which `build.py` lists.

Its layout says what its values mean, and is what a model folder keeps of it, as JSON. Its module embeds
them. Where a row has no value, or where it is dropped, a learned null stands in its place, so that rows that
have it and rows that lack it train one model, and guidance can lead from one to the other.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from sdmodel.condition import Condition, ConditionValues
from sdmodel.config.learning import DataConfig
from sdmodel.data.batch import Batch
from sdmodel.data.index import Index
from sdmodel.data.reader import Augmentations


@dataclass(frozen=True)
class Placement:
    """Where a denoiser reads what conditions say."""

    width: int
    """Channels of each condition's vector."""
    tokens: bool
    """Whether vectors are tokens to attend to; else they widen the caption as one vector."""


@dataclass(frozen=True)
class Embedding:
    """What a condition adds to the `Condition` of B rows; None adds nothing there."""

    pooled: Tensor | None = None
    """(B, P)."""
    tokens: Tensor | None = None
    """(B, T, D), all of them to be attended to."""
    channels: Tensor | None = None
    """(B, C', h, w)."""


class ConditionLayout(Protocol):
    """What a condition's values mean."""

    @property
    def name(self) -> str:
        """Names it when drawing, and in batches."""
        ...

    @property
    def guidance(self) -> float:
        """Guidance scale when drawing, unless told otherwise; 1 is none."""
        ...

    def described(self) -> dict[str, Any]:
        """As JSON, with "kind"; `build.layout_of` reads it."""
        ...

    def rows(self, index: Index, data: DataConfig) -> "RowValues | None":
        """Values of an index's rows; None where batches need not bring any, since the module reads them off
        a batch."""
        ...

    def parse(self, given: Sequence[Any]) -> ConditionValues:
        """What somebody asks to be drawn, for B pictures; None of a picture leaves it out.

        ValueError: a value is not known; the message says which are."""
        ...

    def build(self, placement: Placement) -> "ConditionModule":
        """What embeds it, with initial weights from torch's global generator."""
        ...


class RowValues(Protocol):
    """Values of an index's rows."""

    def __call__(self, rows: Any, shape: tuple[int, int], augmentations: Augmentations) -> ConditionValues:
        """Of rows (B,) that are seen as pictures of `shape`, (H, W) pixels, so augmented."""
        ...


class ConditionModule(nn.Module, ABC):
    """Embeds a condition."""

    pooled_width = 0
    """Channels by which `Condition.pooled` grows."""
    channels = 0
    """C' by which `Condition.channels` grows."""

    def __init__(self, layout: ConditionLayout):
        super().__init__()
        self.layout = layout

    def of_batch(self, batch: Batch) -> ConditionValues | None:
        """A batch's values; None: of no row is one known."""
        return batch.conditions.get(self.layout.name)

    def losses(self, captions: Condition, given: ConditionValues, batch: Batch) -> dict[str, Tensor]:
        """What it learns besides, of a batch's captions and values: float32 scalars by name, means over the
        rows, whether a value is dropped or not."""
        return {}

    def noisy(self, x_t: Tensor) -> Embedding:
        """What x_t (B, C, H, W) itself adds, where that is the condition; it is always known."""
        return Embedding()

    @abstractmethod
    def forward(self, given: ConditionValues | None, rows: int) -> Embedding:
        """The values of B = `rows` rows, embedded; None is present in none."""
