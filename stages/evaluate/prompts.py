"""Which captions are sampled, and with which noise: so that each image has a name that another evaluation can
find again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.evaluate.conditions import Given, own_conditions


@dataclass(frozen=True)
class Prompt:
    """One image to sample: what it is to show, the seed of its noise, and why it is sampled ("test", "new" or
    "oracle")."""

    caption: str
    seed: int
    group: str
    conditions: Given = ()
    """What else its picture is to be: what the row of its caption has."""
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
    known: Sequence[Mapping[str, Any]] = (),
) -> list[Prompt]:
    """All images of an evaluation.

    Args:
        index: a dataset's index; captions come from its test split, first of each row that has one, in the
            order of uids; "" for each row where none has, and no other caption is given.
        new: captions that somebody wrote.
        unseen: captions for the oracle.
        samples: most captions of the test split.
        known: "conditions" of the model folder's config.json; captions of the split come with their rows'
            own, others alone.
        split: whose captions are taken where the test split is empty and no others are given.
        seed: of the evaluation; each image's own seed is a hash of it, the caption and how often it came
            before.
    """
    taken = "test" if new or unseen else split
    test = index.loc[index["split"] == taken].sort_values(["uid"])
    own = own_conditions(test, known)
    texts = [
        (str(captions[0]["text"]), given)
        for captions, given in zip(test["captions"], own, strict=True)
        if len(captions)
    ]
    if not (texts or new or unseen):  # of pictures without captions a model learns to draw without one
        texts = [("", given) for given in own]
    chosen: list[tuple[str, str, Given]] = [("test", *text) for text in texts[:samples]]
    chosen += [("new", caption, ()) for caption in new]
    chosen += [("oracle", caption, ()) for caption in unseen]
    count: dict[tuple[str, str], int] = {}
    prompts: list[Prompt] = []
    for group, caption, given in chosen:
        times = count.get((group, caption), 0)
        count[group, caption] = times + 1
        prompts.append(Prompt(caption, _seed(seed, caption, times), group, given))
    return prompts


def _seed(seed: int, caption: str, times: int) -> int:
    digest = hashlib.sha256(f"{seed}\n{times}\n{caption}".encode()).digest()
    return int.from_bytes(digest[:6], "big")
