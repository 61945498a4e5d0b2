"""Streams of one data order at sizes that follow each other: what a training in stages reads.

The order of rows goes on where the size changes: every size has the same epochs, at the same places. (Of
several buckets each size has its own, since small pictures have fewer shapes: a picture may come a little
sooner or later there than its bucket's epoch would have it.)
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import cast

from sdmodel.config.sizes import Stages, size_at
from sdmodel.data.batch import Batch
from sdmodel.data.stream import Stream


class SizedStream:
    """One process's share of the batches of a training, each at the size of its stage.

    The stream of a size is made when its stage begins, by all processes together: pictures are decoded
    then."""

    def __init__(self, stages: Stages, stream_of: Callable[[int], Stream]):
        """stages: (size, images seen at it). stream_of: makes the stream of a size."""
        self.stages, self._stream_of = stages, stream_of
        self._streams: dict[int, Stream] = {}

    def of(self, size: int) -> Stream:
        """The stream of a size, made where there is none yet."""
        if size not in self._streams:
            self._streams[size] = self._stream_of(size)
        return self._streams[size]

    def following(self, images_seen: int) -> Stream:
        """The stream of the batch that follows after `images_seen` images."""
        return self.of(size_at(self.stages, images_seen))

    def at(self, images_seen: int) -> Batch:
        """The batch that follows after `images_seen` images."""
        return self.following(images_seen).at(images_seen)

    def uids(self, images_seen: int) -> list[str]:
        """As `Stream.uids`."""
        return self.following(images_seen).uids(images_seen)

    def batches(self, images_seen: int) -> Iterator[Batch]:
        """All batches from there on, without end; the next ones of the same size are read ahead."""
        while True:
            stream = self.following(images_seen)
            with closing(cast(Generator[Batch], stream.batches(images_seen))) as batches:
                for batch in batches:
                    yield batch
                    images_seen += stream.batch
                    if self.following(images_seen) is not stream:
                        break
