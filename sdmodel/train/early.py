"""Early stopping: when an error has not become smaller for a while, or what was wanted is reached."""

import math
from typing import Any


class Early:
    """Counts validations without a smaller error than the least before."""

    def __init__(self, patience: int):
        """patience: how many such validations stop a training; 0 never does."""
        self.patience = patience
        self.least = math.inf
        """Smallest error so far."""
        self.images = 0
        """Images seen when it was found."""
        self.waited = 0
        """Validations since."""
        self.enough = False
        """Whether what was wanted is reached."""

    @property
    def stopped(self) -> bool:
        """Whether it is time to stop."""
        return self.enough or 0 < self.patience <= self.waited

    def look(self, images: int, error: float, enough: bool = False) -> None:
        """Takes in the error after `images` images, and whether the model is good enough; an error that is
        not a number is not smaller."""
        self.enough = enough
        if error < self.least:
            self.least, self.images, self.waited = error, images, 0
        else:
            self.waited += 1

    def state(self) -> dict[str, Any]:
        """What it remembers, as JSON."""
        least = self.least if math.isfinite(self.least) else None
        return {"least": least, "images": self.images, "waited": self.waited, "enough": self.enough}

    def load(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave. The patience is the config's, which may have changed."""
        self.least = math.inf if state["least"] is None else float(state["least"])
        self.images, self.waited = int(state["images"]), int(state["waited"])
        self.enough = bool(state.get("enough", False))  # snapshots of before it was told have none
