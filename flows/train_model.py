"""Train a model on a dataset that is there."""

from prefect import flow

from flows.events import TRAINED, emit, log_cause, version
from flows.pinning import pinned_config
from flows.report.names import train_name
from flows.report.task_runner import task_runner
from flows.step import Result, RunContext
from flows.tasks import run_alone, train
from sdmodel.config.train import TrainConfig
from stages.artifacts.reference import number_of
from stages.store import open_store

DEFAULT = TrainConfig()


@flow(name="train_model", flow_run_name=train_name, task_runner=task_runner())
def train_model(
    dataset: str,
    name: str,
    store: str = "store",
    config: TrainConfig = DEFAULT,
    latents: str = "",
    cause: str = "",
) -> dict[str, Result]:
    """Train a model on a dataset, filed as models/NAME.

    Args:
        dataset: a reference (datasets/demo, datasets/demo@3) or a fingerprint.
        name: what the model is filed under.
        store: where artifacts live: a folder, s3://bucket/prefix, gs:// or az://.
        config: the objective, the model, what it starts from and its training.
        latents: fingerprint of encode's result for the dataset; empty trains on pixels.
        cause: filled in by triggers: which refresh started the chain, as
            "refresh_dataset birds 2026-11-29T03:00 datasets/birds@7".
    """
    log_cause(cause)
    dataset = number_of(open_store(store, writable=False), dataset)
    read = [dataset, *filter(None, [latents])]
    finished = run_alone(train, pinned_config(store, name, config), store, name, *read)
    # After a cached training too: a run that died between its result and the event emits it when retried.
    context, model = RunContext(store, name), f"models/{name}"
    facts = {"model": version(context, model, finished["train"]), "dataset": dataset, "latents": latents}
    emit(TRAINED, context, model, finished["train"], cause=cause, **facts)
    return finished
