"""Pictures decoded at once, for sets that are known to be small."""

import numpy as np

from sdmodel.config.learning import DataConfig
from sdmodel.data.index import Index
from sdmodel.data.pictures import PLAIN, PictureReader, Pictures, decode_row


def decode_all(index: Index, size: int, data: DataConfig = PLAIN) -> PictureReader:
    """All pictures in memory."""
    pictures = Pictures(index, size, data)
    pictures.decoded = [
        np.stack([decode_row(index, int(row), shape) for row in pictures.members(bucket)])
        if len(pictures.members(bucket))
        else np.zeros((0, *shape, 3), np.uint8)
        for bucket, shape in enumerate(pictures.sides)
    ]
    return PictureReader(pictures)
