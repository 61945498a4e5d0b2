"""Which sizes a model draws: by its network's config, and by its autoencoder's alone of a caller's own."""

import pytest

from sdmodel.diffusion.sizes import check_size


def test_a_network_that_the_caller_brought_is_asked_by_nothing_but_the_autoencoder():
    check_size((5, 7), None, {}, 1)
    with pytest.raises(ValueError, match=r"7x8 pixels, width by height: .* multiples of 4"):
        check_size((8, 7), None, {}, 4)


def test_the_unconditional_unet_halves_on_every_level_but_the_last():
    settings = {"_class_name": "UNet2DModel", "block_out_channels": [8, 8, 8]}
    check_size((12, 8), "unet2d", settings, 1)
    with pytest.raises(ValueError, match="multiples of 4"):
        check_size((10, 8), "unet2d", settings, 1)
    check_size((10, 8), "unet2d", {**settings, "_class_name": "UNet2DConditionModel"}, 1)
