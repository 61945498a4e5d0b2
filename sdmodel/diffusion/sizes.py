"""Which sizes of pictures a text-to-image model draws. Imports no torch: commands ask before they load a
model."""


def check_size(size: tuple[int, int], *, network: str, taught: int, patch: int, factor: int) -> None:
    """ValueError: a model cannot draw pictures of that size.

    Args:
        size: (H, W), pixels.
        network: as `TrainConfig.network` has it; "unet" has learned maps of one size.
        taught: pixels to a side of the squares that it was taught on.
        patch: places to a side of a patch of "dit"; other networks ignore it.
        factor: pixels to a side of a place of its arrays: 1 of pixels, else its autoencoder's.
    """
    height, width = size
    pixels = f"{width}x{height} pixels, width by height"
    if network == "unet" and size != (taught, taught):
        raise ValueError(
            f"{pixels}: a model of network unet draws {taught}x{taught} alone; leave the size out"
        )
    multiple = factor * (patch if network == "dit" else 1)
    if min(size) < multiple or height % multiple or width % multiple:
        raise ValueError(f"{pixels}: this model draws sides that are multiples of {multiple}")
