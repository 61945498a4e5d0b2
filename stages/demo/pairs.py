"""A folder of clean pairs: what the shipped CLIP was trained on. `python -m stages.demo.pairs FOLDER --rows N
--seed S`."""

import argparse
import csv
from pathlib import Path

import numpy as np

from stages.demo import captions, encode, world


def clean_folder(folder: str | Path, rows: int, seed: int, sides: tuple[int, int] = encode.SIDES) -> Path:
    """Writes `rows` faultless pictures of any combination and metadata.csv (file_name, text) into `folder`.

    For training what measures others, such as the CLIP: pick a seed that no site uses. `sides` are the least
    and the greatest side in pixels. Every phrasing occurs, novel ones too. Returns the folder.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    phrasings = len(captions.TRAINING_PHRASINGS) + len(captions.NOVEL_PHRASINGS)
    with (target / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "text"])
        for row in range(rows):
            rng = np.random.default_rng([seed, row, 4])
            attributes = world.draw_attributes(seed, row, held=None)
            side, encoding = int(rng.integers(sides[0], sides[1] + 1)), encode.draw_encoding(rng)
            name = f"{row:06d}.{encode.EXTENSIONS[encoding.format]}"
            drawn = world.render(world.scene(seed, row, attributes), side)
            (target / name).write_bytes(encode.encode(drawn, encoding))
            table.writerow([name, captions.caption(attributes, int(rng.integers(phrasings)))])
    return target


def main() -> None:
    """Write the folder that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder to write pictures and metadata.csv into")
    parser.add_argument("--rows", type=int, required=True, help="pictures")
    parser.add_argument("--seed", type=int, required=True, help="of the world; one that no site uses")
    given = parser.parse_args()
    clean_folder(given.folder, given.rows, given.seed)


if __name__ == "__main__":
    main()
