"""Parts of a text-to-image model whose classes are the caller's.

A model folder keeps their weights and names none of their classes: nothing is evaluated from files. Whoever
loads the folder passes the classes again.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import nn

from sdmodel.diffusion.model import CaptionEncoder


class NetworkFactory(Protocol):
    """Makes a denoiser, as a class does whose instances are called as `sdmodel.denoise.build` says."""

    def __call__(self, *, channels: int, pooled_width: int, token_width: int) -> nn.Module:
        """For arrays (B, channels, H, W) and a `Condition` of these widths, with initial weights from torch's
        global generator."""
        ...


@dataclass(frozen=True, kw_only=True)
class OwnParts:
    """What the caller brings; None takes what the config describes."""

    network: NetworkFactory | None = None
    """The denoiser."""
    condition: Callable[[], CaptionEncoder] | None = None
    """What reads captions: a module, whose `encode_captions` makes a `Condition` of them."""

    @property
    def names(self) -> list[str]:
        """Of those that are brought, sorted."""
        return sorted(name for name in ("network", "condition") if getattr(self, name) is not None)

    def check(self, names: Collection[str], folder: Path) -> None:
        """ValueError: other parts are brought than the model in a folder was made with."""
        if missing := sorted(set(names) - set(self.names)):
            arguments = ", ".join(f"{name}=YOURS" for name in missing)
            raise ValueError(
                f"{folder}: {' and '.join(missing)} of this model are classes that its maker brought; pass "
                f"them: sdmodel.load({str(folder)!r}, {arguments})"
            )
        if surplus := sorted(set(self.names) - set(names)):
            raise ValueError(f"{folder}: this model has its own {' and '.join(surplus)}; pass none")


NOTHING = OwnParts()
"""All parts are what the config describes."""
