"""Expectations: what a dataset's version must be before it is announced (a data quality gate)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Interval

from sdmodel.config.limits import Amount, Config, Mistake, Share
from stages.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class ExpectConfig(Config):
    """What is expected of a dataset. A version that does not meet it keeps its number and is on hold:
    `@latest` and triggers pass over it until `sdflow approve` lets it through. It is compared with the newest
    version that is not on hold, where both are of one config: what was changed was changed on purpose."""

    min_rows: Amount = 0
    """Fewest pictures of a dataset."""
    max_loss: Share | None = 0.5
    """Largest share of the previous version's pictures that may be gone. None: not asked."""
    max_change: Share | None = None
    """Largest share of a version's pictures that may be new, or have other bytes or captions than in the
    version before. None: not asked."""
    max_reasons: dict[str, Share] = field(default_factory=dict[str, float])
    """Reason -> largest share of a stage's rows that may be left out for it, as {http_not_found: 0.1}."""
    min_success: Share | None = None
    """Least share of the sources' rows that a collection must bring as pictures. None: not asked."""
    max_drift: Annotated[float, Interval(ge=0, le=2)] | None = None
    """Largest cosine distance between the mean embeddings of this version's pictures and of the version
    before, by the run's CLIP; every embedding is read for it. None: not asked."""

    def conflicts(self) -> Iterator[Mistake]:
        """Reasons that nobody gives."""
        known = {str(reason) for reason in Reason}
        if unknown := sorted(self.max_reasons.keys() - known):
            yield self.mistake(
                f"{', '.join(unknown)}: no such reason; there are {', '.join(sorted(known))}", "max_reasons"
            )
