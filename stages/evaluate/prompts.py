"""Which captions are sampled, and with which noise: so that each image has a name that another evaluation can
find again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prompt:
    """One image to sample: what it is to show, the seed of its noise, and why it is sampled ("test", "new" or
    "oracle")."""

    caption: str
    seed: int
    group: str
    by_text: bool = True
    """Whether the model is told the caption; else the picture alone says what to draw."""
    picture: NDArray[np.uint8] | None = field(default=None, compare=False)
    """(H, W, 3): what the model is shown; None: nothing."""

    @property
    def text(self) -> str:
        """The caption as the model is told it; "" is none."""
        return self.caption if self.by_text else ""


def prompts_of(
    index: pd.DataFrame,
    new: Sequence[str],
    unseen: Sequence[str],
    samples: int,
    seed: int,
    split: str = "test",
) -> list[Prompt]:
    """All images of an evaluation.

    Args:
        index: a dataset's index; captions come from its test split, first of each row that has one, in the
            order of uids; "" for each row where none has, and no other caption is given.
        new: captions that somebody wrote.
        unseen: captions for the oracle.
        samples: most captions of the test split.
        split: whose captions are taken where the test split is empty and no others are given.
        seed: of the evaluation; each image's own seed is a hash of it, the caption and how often it came
            before.
    """
    taken = "test" if new or unseen else split
    test = list(index.loc[index["split"] == taken].sort_values(["uid"])["captions"])
    texts = [str(captions[0]["text"]) for captions in test if len(captions)]
    if not (texts or new or unseen):  # of pictures without captions a model learns to draw without one
        texts = [""] * len(test)
    chosen = [("test", caption) for caption in texts[:samples]]
    chosen += [("new", caption) for caption in new]
    chosen += [("oracle", caption) for caption in unseen]
    count: dict[tuple[str, str], int] = {}
    prompts: list[Prompt] = []
    for group, caption in chosen:
        times = count.get((group, caption), 0)
        count[group, caption] = times + 1
        prompts.append(Prompt(caption, _seed(seed, caption, times), group))
    return prompts


def _seed(seed: int, caption: str, times: int) -> int:
    digest = hashlib.sha256(f"{seed}\n{times}\n{caption}".encode()).digest()
    return int.from_bytes(digest[:6], "big")
