import pytest
import torch
from torchvision.transforms.functional import adjust_brightness, adjust_contrast, adjust_saturation

from sdmodel.data.colour import names_colour, recolour


@pytest.mark.parametrize(
    "caption",
    [
        "a RED car",
        "two reddish birds",
        "light-blue sky",
        "a darkgreen sofa",
        "Golden gate",
        "grays",
        "colorful",
    ],
)
def test_captions_that_name_a_colour(caption: str):
    assert names_colour(caption)


@pytest.mark.parametrize(
    "caption", ["", "a credit card", "the shred of evidence", "tangent", "Greenland's coast"]
)
def test_captions_that_name_none(caption: str):
    assert not names_colour(caption)


def test_it_is_what_torchvision_does():
    images = torch.rand(4, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    factors = torch.tensor([[1.3, 0.7, 1.2], [0.8, 1.4, 0.3], [1, 1, 1], [1, 1, 1.5]])
    expected = [
        adjust_saturation(adjust_contrast(adjust_brightness(image, b), c), s)
        for image, (b, c, s) in zip(images, factors.tolist(), strict=True)
    ]
    found = recolour(images * 2 - 1, factors)
    # Its weights of red, green and blue are rounded to four digits.
    assert torch.allclose(found, torch.stack(expected) * 2 - 1, atol=2e-3)
    assert torch.equal(found[2], images[2] * 2 - 1)
