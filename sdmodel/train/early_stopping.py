"""Early stopping: when an error has not become smaller for a while, or the model is good enough; and which
weights are the best so far."""

import math
from typing import Any


class EarlyStopping:
    """Counts validations without a smaller error than the least before."""

    def __init__(self, patience: int):
        """patience: how many such validations stop a training; 0 never does."""
        self.patience = patience
        self.least = math.inf
        """Smallest error so far."""
        self.images = 0
        """Images seen by the best weights: those with the smallest error, or those that were good enough."""
        self.error: float | None = None
        """Error of the best weights; None before there are some."""
        self.waited = 0
        """Validations since the smallest error."""
        self.enough = False
        """Whether the last model was good enough."""

    @property
    def stopped(self) -> bool:
        """Whether it is time to stop."""
        return self.enough or 0 < self.patience <= self.waited

    def update(self, images: int, error: float, enough: bool = False) -> bool:
        """Takes in the error after `images` images, and whether the model is good enough; an error that is
        not a number is not smaller. Returns whether the weights are the best so far."""
        self.enough = enough
        smaller = error < self.least
        self.least, self.waited = (error, 0) if smaller else (self.least, self.waited + 1)
        best = smaller or enough
        if best:
            self.images, self.error = images, error if math.isfinite(error) else None
        return best

    def go_on(self) -> None:
        """A training that had stopped goes on: it waits anew."""
        if self.stopped:
            self.waited, self.enough = 0, False

    def state(self) -> dict[str, Any]:
        """Its state for a checkpoint, as JSON."""
        least = self.least if math.isfinite(self.least) else None
        best = {"images": self.images, "error": self.error}
        return {"least": least, "waited": self.waited, "enough": self.enough, **best}

    def load(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned. The patience is the config's, which may have changed."""
        self.least = math.inf if state["least"] is None else float(state["least"])
        self.images, self.waited, self.error = int(state["images"]), int(state["waited"]), state.get("error")
        self.enough = bool(state.get("enough", False))  # older checkpoints have no such entry
