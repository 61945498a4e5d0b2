"""The whole line: URLs in, an evaluated model out."""

from prefect import flow

from flows.pinning import pinned
from flows.report.progress import threads
from flows.step import Home, Result
from flows.steps import ENCODE
from flows.tasks import collect, dedup, encode, evaluate, filter_, results, score, shard, train
from stages.config.run import Run


@flow(name="pipeline", task_runner=threads(), validate_parameters=True)
def pipeline(run: Run) -> dict[str, Result]:
    """URLs in, an evaluated model out. Running it again continues it; what is finished shows as Cached.

    Args:
        run: everything that can be chosen.
    """
    run, home = pinned(run), Home.of(run)
    images = collect.submit(config=run.collect, home=home)
    duplicates = dedup.submit(images, config=run.dedup, home=home)
    scores = score.submit(images, config=run.score, home=home)
    selection = filter_.submit(images, duplicates, scores, config=run.filter, home=home)
    dataset = shard.submit(images, selection, config=run.shard, home=home)
    wanted = ENCODE.wanted(run.encode)
    latents = [encode.submit(dataset, config=run.encode, home=home)] if wanted else []
    model = train.submit(dataset, *latents, config=run.train, home=home)
    evaluation = evaluate.submit(model, dataset, config=run.evaluate, home=home)
    return results(images, duplicates, scores, selection, dataset, *latents, model, evaluation)
