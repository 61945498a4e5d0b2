"""A grid of new images with their captions, by a model folder. Imports torch."""

from pathlib import Path

from sdmodel.captioned_sheet import captioned_sheet, enlarged, side_by_side
from sdmodel.config.sampling import SamplingConfig
from sdmodel.data.pixels import to_uint8
from sdmodel.device import resolve_device
from sdmodel.diffusion.generate import load
from sdmodel.text.lengths import truncation_warnings

CELL = 128
"""Least pixels to a side of a drawn image; smaller ones are enlarged by whole factors."""
GAP = 8
LINE = 14


def draw(
    folder: Path,
    captions: list[str],
    out: Path,
    *,
    count: int,
    seed: int,
    sampling: SamplingConfig,
    device: str = "auto",
) -> list[str]:
    """Write a PNG with a row of images for each caption, the caption below it.

    Args:
        folder: that the diffusion objective wrote.
        captions: what to draw.
        out: path of the PNG.
        count: images for each caption; they differ in their seeds, `seed` to `seed + count - 1`.
        seed: of the first image of each row.
        sampling: what shall be otherwise than the model's folder says.
        device: "cpu", "cuda" or "auto".

    Returns:
        What a person should hear of captions that the model cannot read whole.

    Raises:
        ValueError: the device is unknown or not there.
    """
    model = load(folder, resolve_device(device))
    prompts = [caption for caption in captions for _ in range(count)]
    seeds = [seed + number for _ in captions for number in range(count)]
    samples = to_uint8(model.sample(prompts, seeds, sampling))
    images = samples.permute(0, 2, 3, 1).numpy()  # (B, S, S, 3)
    factor = max(1, -(-CELL // images.shape[1]))
    pictures = [enlarged(image, factor) for image in images]
    rows = [side_by_side(pictures[at : at + count], GAP) for at in range(0, len(pictures), count)]
    captioned_sheet(rows, captions, columns=1, gap=GAP, line=LINE, spacing=2).save(out, "PNG")
    return truncation_warnings(model.model.text.readers, captions, "The model draws what it read of them.")
