"""Where curves go: TensorBoard's files always, Weights & Biases and MLflow by name, where they are installed.

Each attempt at a training is a run of its own that begins with the rows of the attempts before, so that a
curve is whole wherever it is looked at.
"""

import importlib
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

KNOWN = {"wandb": "wandb", "mlflow": "mlflow"}
"""Name in a config -> package to install."""


class Tracker(Protocol):
    """A place for curves."""

    def log(self, images: int, values: Mapping[str, float]) -> None:
        """Values by name, after so many images."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


def check(names: Sequence[str]) -> None:
    """ValueError: a tracker is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise ValueError(
                f"train.trackers: {name} is not installed; `pip install {KNOWN[name]}`, or leave it out"
            )


def trackers(names: Sequence[str], logs: Path, title: str) -> list[Tracker]:
    """TensorBoard and those that are named; their files lie below `logs`.

    title: what a run is called there. ValueError: a tracker is not installed."""
    check(names)
    made: dict[str, Any] = {"wandb": Wandb, "mlflow": Mlflow}
    return [TensorBoard(logs), *(made[name](logs, title) for name in names)]


class TensorBoard:
    """Event files in logs/tensorboard."""

    def __init__(self, logs: Path) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        shutil.rmtree(logs / "tensorboard", ignore_errors=True)
        self.writer = SummaryWriter(logs / "tensorboard")

    def log(self, images: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, images)

    def close(self) -> None:
        self.writer.close()


class Wandb:
    """A run of Weights & Biases: offline in logs/wandb, unless the environment says otherwise.

    WANDB_MODE, WANDB_API_KEY, WANDB_PROJECT and the rest mean what they mean to wandb."""

    def __init__(self, logs: Path, title: str) -> None:
        configured = os.environ.get("WANDB_MODE") or os.environ.get("WANDB_API_KEY")
        wandb: Any = importlib.import_module("wandb")
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "sdflow"),
            name=title,
            dir=str(logs),
            mode=None if configured else "offline",
        )

    def log(self, images: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=images)

    def close(self) -> None:
        self.run.finish()


class Mlflow:
    """A run of MLflow: in the database logs/mlflow.db, unless MLFLOW_TRACKING_URI names a place."""

    def __init__(self, logs: Path, title: str) -> None:
        mlflow: Any = importlib.import_module("mlflow")
        self.mlflow = mlflow
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            mlflow.set_tracking_uri(f"sqlite:///{logs / 'mlflow.db'}")
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "sdflow"))
        mlflow.start_run(run_name=title)

    def log(self, images: int, values: Mapping[str, float]) -> None:
        # A name may hold letters, digits and _-./ : and a space; "mse@3" is none.
        named = {name.replace("@", " at "): value for name, value in values.items()}
        self.mlflow.log_metrics(named, step=images)

    def close(self) -> None:
        self.mlflow.end_run()
