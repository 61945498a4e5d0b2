"""Train a model on a dataset that is there."""

from prefect import flow

from flows.pinning import pinned_config
from flows.report.names import train_name
from flows.report.task_runner import task_runner
from flows.step import Result
from flows.tasks import run_alone, train
from sdmodel.config.train import TrainConfig

DEFAULT = TrainConfig()


@flow(name="train_model", flow_run_name=train_name, task_runner=task_runner())
def train_model(
    dataset: str,
    name: str,
    store: str = "store",
    config: TrainConfig = DEFAULT,
    latents: str = "",
) -> dict[str, Result]:
    """Train a model on a dataset, filed as models/NAME.

    Args:
        dataset: a reference (datasets/demo, datasets/demo@3) or a fingerprint.
        name: what the model is filed under.
        store: where artifacts live: a folder, s3://bucket/prefix, gs:// or az://.
        config: the objective, the model, what it starts from and its training.
        latents: fingerprint of encode's result for the dataset; empty trains on pixels.
    """
    read = [dataset, *filter(None, [latents])]
    return run_alone(train, pinned_config(store, name, config), store, name, *read)
