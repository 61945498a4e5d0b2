"""The data loader: a stream of batches from any point of the data order, the next ones prefetched."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from sdmodel.config.learning import DataConfig
from sdmodel.data.augmentation import draw_augmentations
from sdmodel.data.batch import Batch
from sdmodel.data.bucket_schedule import BucketSchedule
from sdmodel.data.order import Order
from sdmodel.data.reader import Reader, RowConditions
from sdmodel.data.sampling_weights import sampling_weights

PLAIN = DataConfig()
"""Every picture as it is, once in an epoch."""
PREFETCHED = 2
"""Batches that are read while others are learned from."""


class Stream:
    """One process's share of the global batches of `batch` images; `world` must divide it.

    Batches are read by threads while others are learned from (prefetch). A batch is of one bucket, the same
    for all processes. Each bucket has epochs of its own: in each, every row of it comes as often as its
    weight says. Threads may share a stream."""

    def __init__(
        self,
        reader: Reader,
        *,
        batch: int,
        seed: int,
        data: DataConfig = PLAIN,
        rank: int = 0,
        world: int = 1,
        pin: bool = False,
        conditions: RowConditions | None = None,
    ):
        """Args:
        reader: of the rows.
        batch: images in a global batch.
        seed: of the data order, and of all that is drawn for a row.
        data: how pictures are seen.
        rank: this process, of `world`.
        world: processes that share each batch.
        pin: batches lie in pinned (page-locked) memory, from which a GPU copies while the CPU goes on.
        conditions: what batches bring beside captions; None: nothing.

        ValueError: the batch cannot be shared, or the index lacks what `data` asks for."""
        if batch % world:
            raise ValueError(
                f"batch={batch} cannot be shared by {world} processes; take a multiple of {world}"
            )
        self.reader, self.data, self.batch, self.seed = reader, data, batch, seed
        self.pin, self.conditions = pin, conditions
        self.start = batch // world * rank
        self.rows = batch // world
        expected = sampling_weights(reader.index, data)
        self._members = [np.flatnonzero(reader.buckets == bucket) for bucket in range(len(reader.shapes))]
        own = [None if expected is None else expected[rows] for rows in self._members]
        sizes = [
            float(len(rows) if some is None else some.sum())
            for rows, some in zip(self._members, own, strict=True)
        ]
        self._schedule = BucketSchedule(sizes)
        self._orders = {
            bucket: Order(len(self._members[bucket]), seed, own[bucket], bucket)
            for bucket in range(len(sizes))
            if sizes[bucket]
        }

    def of(self, size: int) -> "Stream":
        """Itself, which has pictures of one size; see `SizedStream`."""
        return self

    def at(self, images_seen: int) -> Batch:
        """The batch that follows after `images_seen` images."""
        places = np.arange(self.start, self.start + self.rows)
        bucket, rows = self._rows(images_seen, places)
        index = self.reader.index
        captions = [index.captions[row] for row in rows]
        augmentations = draw_augmentations(self.data, self.seed, images_seen + places, captions)
        examples = self.reader.read(rows, augmentations, bucket)
        shape = self.reader.shapes[bucket]
        batch = Batch(
            images=examples.images.contiguous(memory_format=torch.channels_last),
            captions=augmentations.captions,
            uids=[index.uids[row] for row in rows],
            index=torch.from_numpy(images_seen + places),
            size=self.batch,
            start=self.start,
            seed=self.seed,
            images_seen=images_seen,
            text=examples.text,
            features=examples.features,
            augmented=examples.augmented,
            conditions=self.conditions(rows, shape, augmentations) if self.conditions else {},
        )
        return batch.pinned() if self.pin else batch

    def uids(self, images_seen: int) -> list[str]:
        """Those of the whole batch that follows after `images_seen` images, of all processes."""
        _, rows = self._rows(images_seen, np.arange(self.batch))
        return [self.reader.index.uids[row] for row in rows]

    def _rows(self, images_seen: int, places: np.ndarray) -> tuple[int, np.ndarray]:
        """The bucket of the batch that follows, and the index's rows (B,) at `places` (B,) of it.

        `images_seen` is no multiple of the batch where a training went on with another one. Of several
        buckets, that batch begins at its own place, since it must not span two."""
        turn, inside = divmod(images_seen, self.batch)
        bucket, batches = self._schedule.at(turn)
        if len(self._orders) > 1:
            inside = 0
        return bucket, self._members[bucket][self._orders[bucket].at(batches * self.batch + inside + places)]

    def batches(self, images_seen: int) -> Iterator[Batch]:
        """All batches from there on, without end; the next ones are read ahead."""
        queue: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(max_workers=PREFETCHED) as pool:
            try:
                while True:
                    while len(queue) < PREFETCHED:
                        queue.append(pool.submit(self.at, images_seen))
                        images_seen += self.batch
                    yield queue.popleft().result()
            finally:
                for batch in queue:
                    batch.cancel()

    def epochs(self, images_seen: int) -> list[float]:
        """How often each bucket was gone through after `images_seen` images, a whole number of batches; one
        without rows 0 times."""
        batches = self._schedule.before(images_seen // self.batch)
        epochs_seen = [0.0] * len(batches)
        for bucket, order in self._orders.items():
            epochs, inside = order.epochs(np.array([batches[bucket] * self.batch]))
            epochs_seen[bucket] = int(epochs[0]) + int(inside[0]) / order.length(int(epochs[0]))
        return epochs_seen
