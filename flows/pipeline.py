"""The whole line: URLs in, an evaluated model out."""

from prefect import flow

from flows.dataset import submit_dataset
from flows.pinning import pinned
from flows.report.names import pipeline_name
from flows.report.task_runner import task_runner
from flows.step import Result, RunContext
from flows.steps import ENCODE
from flows.tasks import encode, evaluate, results, train
from stages.config.run import Run


@flow(name="pipeline", flow_run_name=pipeline_name, task_runner=task_runner(), validate_parameters=True)
def pipeline(run: Run) -> dict[str, Result]:
    """URLs in, an evaluated model out. Running it again continues it; what is finished shows as Cached.

    Args:
        run: everything that can be chosen.
    """
    run, context = pinned(run), RunContext.of(run)
    images, duplicates, scores, selection, dataset = submit_dataset(run, context)
    with_latents = ENCODE.is_enabled(run.encode)
    latents = [encode.submit(dataset, config=run.encode, context=context)] if with_latents else []
    model = train.submit(dataset, *latents, config=run.train, context=context)
    evaluation = evaluate.submit(model, dataset, config=run.evaluate, context=context)
    return results(images, duplicates, scores, selection, dataset, *latents, model, evaluation)
