"""A folder of clean pairs, with the truth beside each: `python -m stages.demo.pairs FOLDER --rows N --seed S
[--world one|two] [--sides LEAST GREATEST] [--captioned SHARE]
[--labelled SHARE]`.

Of world one, what the shipped CLIP was trained on: it measures others, so it has seen every combination and
every phrasing. Of world two, what models are trained on that are measured themselves: no combination and no
phrasing that is kept from training.
"""

import argparse
import csv
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.demo import captions as one_captions
from stages.demo import encode
from stages.demo import world as one_world
from stages.demo.two import captions as two_captions
from stages.demo.two import world as two_world

World = Literal["one", "two"]


def clean_folder(
    folder: str | Path,
    rows: int,
    seed: int,
    sides: tuple[int, int] = encode.SIDES,
    world: World = "one",
    captioned: float = 1.0,
    labelled: float = 1.0,
) -> Path:
    """Writes `rows` faultless pictures and metadata.csv (file_name, text, attributes) into `folder`.

    Pick a seed that no site uses. `sides` are the least and the greatest side in pixels. The attributes'
    columns are those of the world's `Attributes`. A `captioned` share of the rows, [0, 1], keeps its text,
    and a `labelled` share its attributes, independently: those of a smaller share keep theirs in a larger
    one, too. Returns the folder.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    draw = _one_object if world == "one" else _two_groups
    columns = one_world.ATTRIBUTES if world == "one" else two_world.ATTRIBUTES
    with (target / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "text", *columns])
        for row in range(rows):
            rng = np.random.default_rng([seed, row, 4])
            side, encoding = int(rng.integers(sides[0], sides[1] + 1)), encode.draw_encoding(rng)
            name = f"{row:06d}.{encode.EXTENSIONS[encoding.format]}"
            pixels, text, attributes = draw(seed, row, side, rng)
            (target / name).write_bytes(encode.encode_picture(pixels, encoding))
            has_text, has_labels = np.random.default_rng([seed, row, 5]).random(2) < (captioned, labelled)
            labels = attributes if has_labels else [""] * len(columns)
            table.writerow([name, text if has_text else "", *labels])
    return target


def _one_object(
    seed: int, row: int, side: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], str, list[str]]:
    """Pixels, caption and attributes of a picture of the one-object world."""
    attributes = one_world.draw_attributes(seed, row, unseen=None)
    phrasings = len(one_captions.TRAINING_PHRASINGS) + len(one_captions.NOVEL_PHRASINGS)
    text = one_captions.caption(attributes, int(rng.integers(phrasings)))
    return (
        one_world.render(one_world.scene(seed, row, attributes), side),
        text,
        list(asdict(attributes).values()),
    )


def _two_groups(
    seed: int, row: int, side: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], str, list[str]]:
    """Pixels, caption and attributes of a picture of the world of two."""
    scene = two_world.scene(seed, row)
    phrasing, turned = int(rng.integers(len(two_captions.TRAINING_PHRASINGS))), bool(rng.integers(2))
    text = two_captions.caption(scene.attributes, phrasing, turned)
    return two_world.render(scene, side), text, list(asdict(scene.attributes).values())


def main() -> None:
    """Write the folder that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder to write pictures and metadata.csv into")
    parser.add_argument("--rows", type=int, required=True, help="pictures")
    parser.add_argument("--seed", type=int, required=True, help="of the world; one that no site uses")
    parser.add_argument(
        "--world", choices=["one", "two"], default="one", help="objects or groups in a picture"
    )
    parser.add_argument(
        "--sides",
        nargs=2,
        type=int,
        default=encode.SIDES,
        metavar=("LEAST", "GREATEST"),
        help="of the pictures, pixels",
    )
    parser.add_argument("--captioned", type=float, default=1.0, help="share of the rows that keep their text")
    parser.add_argument(
        "--labelled", type=float, default=1.0, help="share of the rows that keep their attributes"
    )
    arguments = parser.parse_args()
    least, greatest = arguments.sides
    if not 8 <= least <= greatest <= 4096:
        parser.error(f"--sides {least} {greatest}: from 8 to 4,096, the least first")
    for name in ("captioned", "labelled"):
        if not 0 <= getattr(arguments, name) <= 1:
            parser.error(f"--{name} {getattr(arguments, name):g}: a share of the rows, from 0 to 1")
    clean_folder(
        arguments.folder,
        arguments.rows,
        arguments.seed,
        (least, greatest),
        world=arguments.world,
        captioned=arguments.captioned,
        labelled=arguments.labelled,
    )


if __name__ == "__main__":
    main()
