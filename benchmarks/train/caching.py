"""The stage encode on the task's pictures, timed as a command.

    python -m benchmarks.train.caching TASK.json FOLDER

Makes a store in FOLDER, and in it the dataset and the cache; lays the cache at FOLDER/latents and tells how
many seconds the stage took in FOLDER/encode.json.
"""

import json
import shutil
import sys
import time
from pathlib import Path

from benchmarks.train.task import Task
from stages.artifacts.artifact import Funnel
from stages.config.encode import EncodeConfig
from stages.config.run import ShardConfig
from stages.encode import encode
from stages.output import Output
from stages.pretrained.files import autoencoder_input, text_input
from stages.stage import Stats, stage
from stages.store import open_store


def main(task: Task, folder: Path) -> None:
    """Encodes once."""

    def shard(config: ShardConfig, out: Output) -> Stats:
        for name in ["index.parquet", *task.tars]:
            shutil.copyfile(task.place / name, out.write(name))
        return Stats(Funnel(task.pictures, task.pictures))

    store = open_store(str(folder / "store"))
    dataset = stage(version=1, kind="dataset")(shard)(ShardConfig(), store=store)
    model = str(task.place / "model")
    config = EncodeConfig(autoencoder=model, text=model, size=task.size)
    began = time.perf_counter()
    made = encode(dataset, autoencoder_input(store, model), text_input(model), (), config, store=store)
    made.lay("", folder / "latents")
    (folder / "encode.json").write_text(json.dumps(time.perf_counter() - began))


if __name__ == "__main__":
    main(Task.read(Path(sys.argv[1])), Path(sys.argv[2]))
