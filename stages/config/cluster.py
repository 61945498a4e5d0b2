"""How captions are put into clusters."""

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Interval

from sdmodel.config.limits import NEUTRAL, Config, Device


@dataclass(frozen=True, kw_only=True)
class ClusterConfig(Config):
    """How captions are put into clusters. Not part of a run: `sdflow cluster` takes it."""

    clusters: Annotated[int, Interval(ge=2, le=65_536)] = 12
    """How many."""
    seeds: Annotated[int, Interval(ge=2, le=1000)] = 3
    """Runs from different starts: the best is kept, and how far they agree is said."""
    column: str = ""
    """Column of the dataset's index with a class of each picture, to which the clusters are compared; empty:
    none."""
    device: Device = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""
