"""A denoiser's condition besides time and caption: how the picture was moved before it was shown."""

from torch import Tensor, nn

LABELS = 9
"""Numbers that say how a picture was moved, see sdmodel/data/geometry.py."""


class AugmentationCondition(nn.Module):
    """Adds what non-leaking augmentation did to a network's condition (Karras et al. 2022, arXiv:2206.00364,
    appendix F.2).

    Without a shift of its own: a picture that was not moved, as every sample is, leaves the condition as it
    is.
    """

    adamw_layers = ("labels",)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.labels = nn.Linear(LABELS, width, bias=False)

    def forward(self, condition: Tensor, augmented: Tensor | None) -> Tensor:
        """A condition (B, W) and labels (B, 9) to a condition (B, W); None is all zeros."""
        return condition if augmented is None else condition + self.labels(augmented)
