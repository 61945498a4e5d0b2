import pytest
import torch

from sdmodel.evaluate.nearest import nearest


def test_the_nearest_is_found_across_chunks():
    generator = torch.Generator().manual_seed(0)
    training = torch.rand(50, 3, 4, 4, generator=generator) * 2 - 1
    samples = training[[7, 33, 49]] + torch.tensor([0.0, 0.01, -0.02])[:, None, None, None]
    place, distance = nearest(samples, training.split(16))
    assert place.tolist() == [7, 33, 49]
    assert distance.tolist() == pytest.approx([0.0, 0.01, 0.02], abs=1e-6)


def test_of_equals_the_first_counts():
    image = torch.rand(1, 3, 4, 4)
    place, _ = nearest(image, [torch.zeros_like(image), image, image])
    assert place.tolist() == [1]


def test_no_training_images_are_refused():
    with pytest.raises(ValueError, match="no training images"):
        nearest(torch.zeros(1, 3, 4, 4), [])
