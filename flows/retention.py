"""Retention after a refresh: versions that the run's config does not keep go, and their files are freed."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.tasks import exponential_backoff

from flows.step import RunContext
from flows.tasks import RETRIES, another_try_may_help
from stages.artifacts.gc import collect_garbage
from stages.config.retention import RetainConfig
from stages.errors import DamagedError
from stages.redaction import redact_error
from stages.retention.retain import retain
from stages.store import open_store
from stages.units import file_size


@task(
    name="retain",
    task_run_name="retain",
    tags=["data"],
    retries=RETRIES,
    retry_delay_seconds=exponential_backoff(5),
    retry_condition_fn=another_try_may_help,  # somebody else drops, or purges, at the moment
    cache_policy=NO_CACHE,
    persist_result=False,
)
def drop_versions(rule: RetainConfig, context: RunContext) -> str:
    """Drop the versions of a run's dataset that its rule does not keep, and delete what nothing names since.

    Args:
        rule: which versions stay.
        context: where they are, and the name.

    Returns:
        What was done, in a sentence.

    Raises:
        DamagedError: a record cannot be read; nothing was dropped.
    """
    try:
        store = open_store(context.store)
        retained = retain(store, [f"datasets/{context.name}"], rule)
        if retained.damaged:
            raise DamagedError(f"no version was dropped: {'; '.join(retained.damaged)}")
        swept = collect_garbage(store)
    except Exception as error:
        redact_error(error)  # Prefect logs it with its traceback
        raise
    dropped = sum(not version.stays for version in retained.versions)
    words = f"dropped {dropped:,} versions; deleted {swept.files:,} files ({file_size(swept.bytes)})"
    get_run_logger().info("; ".join([words, *retained.uses, *swept.damaged]))
    return words


def apply_retention(rule: RetainConfig, context: RunContext) -> None:
    """Drop versions where the rule says so. A failure is a warning: the refresh itself has succeeded."""
    if not rule.last:
        return
    state = drop_versions(rule, context, return_state=True)
    if not state.is_completed():
        get_run_logger().warning(
            "retention failed (%s); the refresh stands, and the next one, or `sdflow retain`, tries again",
            state.message,
        )
