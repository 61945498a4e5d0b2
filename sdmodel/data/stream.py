"""The stream of batches from any point of the data order."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from sdmodel.data.batch import Batch
from sdmodel.data.order import Order
from sdmodel.data.pictures import Pictures
from sdmodel.data.pixels import to_float


class Stream:
    """One process's share of the global batches of `batch` images; `world` must divide it."""

    def __init__(
        self, pictures: Pictures, *, batch: int, seed: int, flip: bool = False, rank: int = 0, world: int = 1
    ):
        if batch % world:
            raise ValueError(
                f"batch={batch} cannot be shared by {world} processes; take a multiple of {world}"
            )
        self.pictures, self.flip, self.batch = pictures, flip, batch
        self.order = Order(len(pictures), seed)
        self.start = batch // world * rank
        self.rows = batch // world

    def at(self, images_seen: int) -> Batch:
        """The batch that follows after `images_seen` images."""
        places = np.arange(images_seen + self.start, images_seen + self.start + self.rows)
        seen = self.order.at(places)
        index = self.pictures.index
        images = to_float(self.pictures.read(seen.rows))  # (B, 3, S, S)
        if self.flip:
            images = torch.where(torch.from_numpy(seen.mirror)[:, None, None, None], images.flip(-1), images)
        captions = [index.captions[row] for row in seen.rows]
        return Batch(
            images=images.contiguous(memory_format=torch.channels_last),
            captions=[
                some[int(u * len(some))] if some else ""
                for some, u in zip(captions, seen.caption, strict=True)
            ],
            uids=[index.uids[row] for row in seen.rows],
            index=torch.from_numpy(places),
            size=self.batch,
            start=self.start,
        )

    def batches(self, images_seen: int) -> Iterator[Batch]:
        """All batches from there on, without end. Where pictures must be decoded, the next is read ahead."""
        if self.pictures.kept is not None:
            while True:
                yield self.at(images_seen)
                images_seen += self.batch
        with ThreadPoolExecutor(max_workers=1) as ahead:
            coming = ahead.submit(self.at, images_seen)
            while True:
                batch, images_seen = coming.result(), images_seen + self.batch
                coming = ahead.submit(self.at, images_seen)
                yield batch
