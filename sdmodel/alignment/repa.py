"""REPA: hidden features of the noisy picture are aligned with those that a frozen encoder has of the clean
one (representation alignment; Yu et al. 2024, arXiv:2410.06940).

The projector is the 3 x 3 convolution of Singh et al. 2025, arXiv:2512.10794 (iREPA), not the three-layer
perceptron of the first paper: it looks at neighbours, which is what the alignment is about, has no layers of
its own in which the trunk could hide what it did not learn, and costs less.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.data.batch import Batch
from sdmodel.selfsupervised.teacher import Teacher


class Repa(nn.Module):
    """The projector and the loss. The teacher is no part of the module."""

    adamw_layers = ("projector",)

    def __init__(self, width: int, teacher: Teacher, *, spatial: bool) -> None:
        """width: C of the features. spatial: normalise the teacher's over places."""
        super().__init__()
        self.projector = nn.Conv2d(width, teacher.width, 3, padding=1)
        self.spatial = spatial
        self._teacher = (teacher,)  # in a tuple: nn.Module would take it apart

    def forward(self, features: Tensor, batch: Batch) -> Tensor:
        """Features (B, C, h, w) of the noisy pictures of a batch to a float32 scalar."""
        target = at_sides(self._teacher[0].features(batch), features)
        return repa_loss(self.projector(features), spatially_normalised(target) if self.spatial else target)


def repa_loss(projected: Tensor, target: Tensor) -> Tensor:
    """1 - mean cosine similarity of the places (Yu et al. 2024, equation 8, whose negative similarity this is
    up to the constant): a float32 scalar, 0 of features that are equal but for their lengths.

    projected, target: (B, F, h, w). In float32: in half precision the length of a vector near 0 is 0."""
    return 1 - F.cosine_similarity(projected.float(), target.float(), dim=1, eps=1e-6).mean()


def spatially_normalised(features: Tensor) -> Tensor:
    """Features (B, F, h, w) of mean 0 and deviation 1 over the places of each picture, channel by channel
    (Singh et al. 2025, section 4); of a single place as they are."""
    if features.shape[2] * features.shape[3] == 1:
        return features
    centred = features - features.mean((2, 3), keepdim=True)
    return centred / (features.std((2, 3), keepdim=True) + 1e-6)


def at_sides(features: Tensor, like: Tensor) -> Tensor:
    """Features (B, F, H, W) at the height and width of `like`, bilinear."""
    sides = like.shape[-2:]
    if features.shape[-2:] == sides:
        return features
    smaller = sides[0] < features.shape[-2] or sides[1] < features.shape[-1]
    return F.interpolate(features, sides, mode="bilinear", antialias=smaller)
