"""Evaluate a model that is there."""

from prefect import flow

from flows.events import EVALUATED, emit, log_cause, version
from flows.pinning import pinned_config
from flows.report.names import evaluate_name
from flows.report.task_runner import task_runner
from flows.step import Result, RunContext
from flows.tasks import evaluate, resolved, results
from stages.artifacts.reference import number_of
from stages.config.evaluate import EvaluateConfig
from stages.store import open_store

DEFAULT = EvaluateConfig()


@flow(name="evaluate_model", flow_run_name=evaluate_name, task_runner=task_runner())
def evaluate_model(
    model: str,
    name: str,
    dataset: str = "",
    store: str = "store",
    config: EvaluateConfig = DEFAULT,
    cause: str = "",
) -> dict[str, Result]:
    """Evaluate a model, filed as evaluations/NAME.

    Args:
        model: a reference (models/demo, models/demo@3) or a fingerprint.
        name: what the evaluation is filed under.
        dataset: reference or fingerprint of the dataset to evaluate on; empty takes the one of its training.
        store: where artifacts live: a folder, s3://bucket/prefix, gs:// or az://.
        config: what is measured.
        cause: filled in by triggers: which refresh started the chain, as
            "refresh_dataset birds 2026-11-29T03:00 datasets/birds@7".
    """
    log_cause(cause)
    context = RunContext(store, name)
    opened = open_store(store, writable=False)
    model = number_of(opened, model)
    (evaluated,) = resolved(store, model)
    if dataset:
        dataset = number_of(opened, dataset)
    data = resolved(store, dataset)[0] if dataset else trained_on(evaluated)
    config = pinned_config(store, name, config)
    finished = results(evaluate.submit(evaluated, data, config=config, context=context))
    reference = f"evaluations/{name}"
    facts = {
        "evaluation": version(context, reference, finished["evaluate"]),
        "model": model,
        "dataset": dataset or version(context, f"datasets/{name}", data),
    }
    emit(EVALUATED, context, reference, finished["evaluate"], cause=cause, **facts)
    return finished


def trained_on(model: Result) -> Result:
    """The dataset that a model was trained on; ValueError if the store knows none."""
    # The nearest: that of an average is its model's.
    dataset = next((artifact for artifact in model.open().ancestors() if artifact.kind == "dataset"), None)
    if dataset is None:
        raise ValueError(f"{model} names no dataset that it was trained on; give dataset")
    if dataset.dropped is not None:
        raise ValueError(f"{dataset.dropped}; give the dataset to evaluate {model} on")
    return Result.of(dataset, model.store)
