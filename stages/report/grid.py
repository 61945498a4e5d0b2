"""A grid of new images with their captions, by a model folder. Imports torch."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from sdmodel.data.pixels import to_uint8
from sdmodel.device import resolve_device
from sdmodel.diffusion.generate import load
from sdmodel.text.lengths import truncation_warnings

CELL = 128
"""Least pixels to a side of a drawn image; smaller ones are enlarged by whole factors."""
GAP = 8
LINE = 16


def draw(
    folder: Path,
    captions: list[str],
    out: Path,
    *,
    count: int,
    seed: int,
    guidance: float,
    steps: int,
    device: str = "auto",
) -> list[str]:
    """Write a PNG with a row of images for each caption, the caption above it.

    Args:
        folder: that the diffusion objective wrote.
        captions: what to draw.
        out: path of the PNG.
        count: images for each caption; they differ in their seeds, `seed` to `seed + count - 1`.
        seed: of the first image of each row.
        guidance: classifier-free guidance; 1 is none.
        steps: of the sampler.
        device: "cpu", "cuda" or "auto".

    Returns:
        What a person should hear of captions that the model cannot read whole.

    Raises:
        ValueError: the device is unknown or not there.
    """
    model = load(folder, resolve_device(device))
    prompts = [caption for caption in captions for _ in range(count)]
    seeds = [seed + number for _ in captions for number in range(count)]
    samples = to_uint8(model.sample(prompts, seeds, guidance, steps))
    images = samples.permute(0, 2, 3, 1).numpy()  # (B, S, S, 3)
    side = images.shape[1] * max(1, -(-CELL // images.shape[1]))
    font = ImageFont.load_default(12)
    width = count * (side + GAP) + GAP
    wide = max(width, *(int(font.getlength(caption)) + 2 * GAP for caption in captions))
    sheet = Image.new("RGB", (wide, len(captions) * (side + GAP + LINE) + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for row, caption in enumerate(captions):
        top = GAP + row * (side + GAP + LINE)
        pen.text((GAP, top - 2), caption, fill="#222222", font=font)
        for column in range(count):
            picture = Image.fromarray(images[row * count + column]).resize(
                (side, side), Image.Resampling.NEAREST
            )
            sheet.paste(picture, (GAP + column * (side + GAP), top + LINE))
    sheet.save(out, "PNG")
    return truncation_warnings(model.model.text.readers, captions, "The model draws what it read of them.")
