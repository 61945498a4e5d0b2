"""Weights by the names of a module's `state_dict`, and those of its sub-modules."""

from torch import Tensor


def submodule_weights(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """A sub-module's weights by its own names: those that begin with `prefix` ("encoder."), without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
