"""A dataset of plain pictures of which some have a label, and an image encoder that tells them apart."""

import io
import tarfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.index import with_version
from sdmodel.selfsupervised.objective import SelfSupervisedObjective
from stages.artifacts.artifact import Artifact, Funnel
from stages.config.run import ShardConfig
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store

COLOURS = {"red": (220, 30, 30), "blue": (30, 80, 230)}
NAMES = tuple(COLOURS)
ROWS = 40


def coloured_dataset(store: Store) -> Artifact:
    """Noisy plain pictures, red and blue in turn: of two thirds the colour is said; the last eight are for
    validation, without a label in the column `taught`."""

    @stage(version=1, kind="dataset", name="shard")
    def handmade(config: ShardConfig, out: Output) -> Stats:
        index, rng = [], np.random.default_rng(0)
        with tarfile.open(out.write("shards/train-00000.tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
            for row in range(ROWS):
                colour = NAMES[row % 2]
                pixels = np.array(COLOURS[colour]) + rng.integers(-25, 25, (8, 8, 3))
                data = io.BytesIO()
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(data, "PNG")
                member = tarfile.TarInfo(f"{row:032x}.png")
                member.size = len(data.getvalue())
                index.append(
                    {
                        "uid": f"{row:032x}",
                        "file": "shards/train-00000.tar",
                        "offset": tar.offset + 512,
                        "length": member.size,
                        "split": "validation" if row >= ROWS - 8 else "train",
                        "checksum": zlib.crc32(data.getvalue()),
                        "captions": [],
                        "colour": colour if row % 3 else None,
                        "tags": [colour],
                        "taught": colour if row < ROWS - 8 else None,
                    }
                )
                tar.addfile(member, io.BytesIO(data.getvalue()))
        schema = pa.Table.from_pylist(index).schema
        place = schema.get_field_index("captions")
        schema = schema.set(place, pa.field("captions", pa.list_(pa.struct([("text", pa.string())]))))
        pq.write_table(with_version(pa.Table.from_pylist(index, schema)), out.write("index.parquet"))
        return Stats(Funnel(ROWS, ROWS))

    return handmade(ShardConfig(), store=store)


def untrained_encoder(store: Store) -> Artifact:
    """An image encoder with random weights, which tell colours apart."""

    @stage(version=1, kind="model", name="train")
    def untrained(config: TrainConfig, out: Output) -> Stats:
        torch.manual_seed(0)
        made = SelfSupervisedObjective(config)
        weights = {name: value.clone().contiguous() for name, value in made.modules.state_dict().items()}
        made.save(out.write("model/any").parent, weights)
        return Stats(Funnel(0, 0), {"objective": "selfsupervised"})

    config = TrainConfig(
        objective="selfsupervised", size=8, selfsupervised=SelfSupervisedConfig(width=4, embedding=8)
    )
    return untrained(config, store=store)
