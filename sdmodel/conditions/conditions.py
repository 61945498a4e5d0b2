"""All conditions beside the caption of a model, and what batches bring for them."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from sdmodel.condition import Condition, ConditionValues
from sdmodel.conditions.interface import ConditionLayout, ConditionModule, Embedding, Placement, RowValues
from sdmodel.config.learning import DataConfig
from sdmodel.data.batch import Batch
from sdmodel.data.index import Index
from sdmodel.data.reader import Augmentations

Given = Mapping[str, ConditionValues | None]
"""Values by the condition's name; of one that it lacks, or that is None, no row has any."""


class Conditions(nn.Module):
    """Embeds what is known of rows, and adds it to the condition that their captions make."""

    def __init__(
        self,
        layouts: Sequence[ConditionLayout],
        placement: Placement,
        rates: Mapping[str, float] | None = None,
        dropout: float = 0.0,
    ):
        """Args:
        layouts: of each condition, in the order in which guidance adds them.
        placement: where the denoiser reads them.
        rates: dropout of each, by name; of one that is not named 0.
        dropout: share of the rows that lose the caption and all conditions at once."""
        super().__init__()
        self.each = nn.ModuleList(layout.build(placement) for layout in layouts)
        self.placement = placement
        self.rates, self.dropout = dict(rates or {}), dropout

    @property
    def modules_by_name(self) -> dict[str, ConditionModule]:
        """In the order in which guidance adds them."""
        return {module.layout.name: module for module in self._each}

    @property
    def _each(self) -> list[ConditionModule]:
        return [cast(ConditionModule, module) for module in self.each]

    @property
    def layouts(self) -> tuple[ConditionLayout, ...]:
        """Of each, in order."""
        return tuple(module.layout for module in self._each)

    @property
    def pooled_width(self) -> int:
        """Channels by which `Condition.pooled` grows."""
        return sum(module.pooled_width for module in self._each)

    @property
    def channels(self) -> int:
        """C' of `Condition.channels`; 0: it is None."""
        return sum(module.channels for module in self._each)

    def described(self) -> list[dict[str, Any]]:
        """As JSON; `build.read_layouts` reads it."""
        return [layout.described() for layout in self.layouts]

    def forward(self, captions: Condition, given: Given) -> Condition:
        """B captions, with what is known of them beside."""
        return _joined(
            captions, [module(given.get(module.layout.name), len(captions.pooled)) for module in self._each]
        )

    def noisy(self, condition: Condition, x_t: Tensor) -> Condition:
        """With what x_t (B, C, H, W) itself adds to it."""
        return _joined(condition, [module.noisy(x_t) for module in self._each])

    def losses(self, captions: Condition, given: Given, batch: Batch) -> dict[str, Tensor]:
        """What conditions learn besides, of a batch's captions and what is known of its rows, by name:
        float32 scalars, means over the rows."""
        learned: dict[str, Tensor] = {}
        for name, module in self.modules_by_name.items():
            if (values := given.get(name)) is not None:
                learned |= module.losses(captions, values, batch)
        return learned

    def of_batch(self, batch: Batch, *, drop: bool) -> Given:
        """What a batch's rows have.

        drop: rows lose each condition as often as its dropout says, and all at once where `all_dropped`
        says."""
        given = {name: module.of_batch(batch) for name, module in self.modules_by_name.items()}
        if not drop:
            return given
        everything = self.all_dropped(batch)
        dropped: dict[str, ConditionValues | None] = {}
        for name, values in given.items():
            own = batch.uniform(f"condition dropout {name}") < self.rates.get(name, 0.0)
            dropped[name] = None if values is None else values.without(own | everything)
        return dropped

    def all_dropped(self, batch: Batch) -> torch.Tensor:
        """(B,) bool: rows of a batch that lose the caption and all conditions."""
        return batch.uniform("conditions dropout") < self.dropout


def _joined(captions: Condition, embeddings: Sequence[Embedding]) -> Condition:
    pooled = [each.pooled for each in embeddings if each.pooled is not None]
    tokens = [each.tokens for each in embeddings if each.tokens is not None]
    channels = [each.channels for each in embeddings if each.channels is not None]
    masks = [captions.mask.new_ones(each.shape[:2]) for each in tokens]
    if captions.channels is not None:
        channels = [captions.channels, *channels]
    return Condition(
        torch.cat([captions.pooled.float(), *pooled], 1) if pooled else captions.pooled,
        torch.cat([captions.states.float(), *tokens], 1) if tokens else captions.states,
        torch.cat([captions.mask, *masks], 1) if tokens else captions.mask,
        torch.cat(channels, 1) if channels else None,
    )


class ConditionTable:
    """What is known of an index's rows, by condition."""

    def __init__(self, layouts: Sequence[ConditionLayout], index: Index, data: DataConfig):
        """data: how pictures are seen."""
        values = {layout.name: layout.rows(index, data) for layout in layouts}
        self._values: dict[str, RowValues] = {name: rows for name, rows in values.items() if rows is not None}

    def __call__(
        self, rows: np.ndarray, shape: tuple[int, int], augmentations: Augmentations
    ) -> dict[str, ConditionValues]:
        """As `sdmodel.data.reader.RowConditions`."""
        return {name: values(rows, shape, augmentations) for name, values in self._values.items()}
