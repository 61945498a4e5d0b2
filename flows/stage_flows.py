"""Each stage as a flow of its own, for deployments and tries: references or fingerprints in, a result out."""

from prefect import flow

from flows import tasks
from flows.events import ENCODED, emit, log_cause
from flows.pinning import pinned_config
from flows.report.names import stage_name
from flows.report.task_runner import task_runner
from flows.step import Result, RunContext
from flows.tasks import results, run_alone
from stages.artifacts.reference import number_of
from stages.config.collect import CollectConfig
from stages.config.encode import EncodeConfig
from stages.config.run import DedupConfig, FilterConfig, ScoreConfig, ShardConfig
from stages.store import open_store

# train and evaluate alone are `train_model` and `evaluate_model`.

DEDUP, SCORE, FILTER, SHARD = DedupConfig(), ScoreConfig(), FilterConfig(), ShardConfig()
ENCODE = EncodeConfig()


@flow(name="collect", flow_run_name=stage_name, task_runner=task_runner())
def collect(config: CollectConfig, name: str, store: str = "store") -> dict[str, Result]:
    """Bring the images of some sources, filed as images/NAME.

    Args:
        config: the sources, and what is taken for an image.
        name: what the images are filed under.
        store: where artifacts live.
    """
    return results(tasks.collect.submit(config=config, context=RunContext(store, name)))


@flow(name="dedup", flow_run_name=stage_name, task_runner=task_runner())
def dedup(images: str, name: str, config: DedupConfig = DEDUP, store: str = "store") -> dict[str, Result]:
    """Find the copies among images.

    Args:
        images: reference (images/demo) or fingerprint of collected images.
        name: of the run, in the report's names.
        config: what counts as a copy.
        store: where artifacts live.
    """
    return run_alone(tasks.dedup, config, store, name, images)


@flow(name="score", flow_run_name=stage_name, task_runner=task_runner())
def score(images: str, name: str, config: ScoreConfig = SCORE, store: str = "store") -> dict[str, Result]:
    """Score how well captions fit their images.

    Args:
        images: reference (images/demo) or fingerprint of collected images.
        name: of the run, in the report's names.
        config: which CLIP judges.
        store: where artifacts live.
    """
    return run_alone(tasks.score, config, store, name, images)


@flow(name="filter", flow_run_name=stage_name, task_runner=task_runner())
def filter_(
    images: str, duplicates: str, scores: str, name: str, config: FilterConfig = FILTER, store: str = "store"
) -> dict[str, Result]:
    """Choose what is trained on.

    Args:
        images: reference (images/demo) or fingerprint of collected images.
        duplicates: fingerprint of dedup's result for them.
        scores: fingerprint of score's result for them.
        name: of the run, in the report's names.
        config: the thresholds.
        store: where artifacts live.
    """
    return run_alone(tasks.filter_, config, store, name, images, duplicates, scores)


@flow(name="shard", flow_run_name=stage_name, task_runner=task_runner())
def shard(
    images: str, selection: str, name: str, config: ShardConfig = SHARD, store: str = "store"
) -> dict[str, Result]:
    """Pack chosen images into a dataset, filed as datasets/NAME.

    Args:
        images: reference (images/demo) or fingerprint of collected images.
        selection: fingerprint of filter's result for them.
        name: what the dataset is filed under.
        config: how it is cut and packed.
        store: where artifacts live.
    """
    return run_alone(tasks.shard, config, store, name, images, selection)


@flow(name="encode", flow_run_name=stage_name, task_runner=task_runner())
def encode(
    dataset: str, name: str, config: EncodeConfig = ENCODE, store: str = "store", cause: str = ""
) -> dict[str, Result]:
    """Let frozen encoders read a dataset once, so that training sees latents or text states.

    Args:
        dataset: reference (datasets/demo) or fingerprint.
        name: of the run, in the report's names.
        config: the encoders, and the pictures' size.
        store: where artifacts live.
        cause: filled in by triggers: which refresh started the chain, as
            "refresh_dataset birds 2026-11-29T03:00 datasets/birds@7".
    """
    log_cause(cause)
    dataset = number_of(open_store(store, writable=False), dataset)
    finished = run_alone(tasks.encode, pinned_config(store, name, config), store, name, dataset)
    latents = finished["encode"]
    facts = {"dataset": dataset, "latents": f"{latents.stage}/{latents.fingerprint}"}
    emit(ENCODED, RunContext(store, name), f"datasets/{name}", latents, cause=cause, **facts)
    return finished
