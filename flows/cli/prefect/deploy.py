"""`sdflow deploy`: one run's deployments on a Prefect server."""

from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import ConfigArgument, ConfigStoreOption, SetOption, environment_store
from flows.cli.prefect.confirmation import YesOption, confirm
from flows.cli.store.listing import print_lines

ScheduleOption = Annotated[
    str | None,
    Parameter(help="Refresh by this cron expression, as '0 3 * * *'; none takes the schedule away."),
]
ZoneOption = Annotated[str | None, Parameter(help="Time zone of the schedule, as Europe/Berlin.")]
TrainOption = Annotated[
    bool | None,
    Parameter(show_default=False, help="Let a refresh start a training, and this an evaluation."),
]
PoolOption = Annotated[
    tuple[str, ...],
    Parameter(
        name="--pool",
        negative="",
        show_default=False,
        help="Work pool in the place of data or gpu, as gpu=a100; may be given again.",
    ),
]


def deploy(
    config: ConfigArgument,
    /,
    *,
    set_: SetOption = (),
    store: ConfigStoreOption = None,
    schedule: ScheduleOption = None,
    timezone: ZoneOption = None,
    train: TrainOption = None,
    pool: PoolOption = (),
    yes: YesOption = False,
) -> None:
    """Make a run's deployments on a Prefect server, or bring them up to date.

    They are named for the run, and have its config: refresh_dataset/birds-nightly, pipeline/birds-whole, and
    with --train those that a refresh starts. It shows what it would do, and asks. What the file changed is
    updated; what people changed on the server (a paused schedule, a parameter, a disabled automation, a work
    pool) stays. Schedule, time zone, training and work pools that are not given stay as they were.

    A deployment belongs to the run's name and store: one of another store is refused. Workers run it in the
    folder that this command is called in.

    **Examples**

    ```
    sdflow deploy birds.yaml
    sdflow deploy birds.yaml --schedule "0 3 * * *" --timezone Europe/Berlin --train
    sdflow deploy birds.yaml --set filter.min_similarity=0.3 --yes
    sdflow deploy birds.yaml --pool data=cpu-box --pool gpu=a100
    ```
    """
    from dataclasses import replace
    from pathlib import Path

    from flows.config.file import read_run
    from flows.preflight import check
    from flows.run.server import be_quiet

    run = read_run(config, set_, store, environment_store())
    be_quiet()
    # Prefect takes seconds to import: after the config is known to be good.
    from flows.deploy.settings import Options, absolute_store

    run = replace(run, store=absolute_store(run.store))
    check(run)
    options = Options(schedule=schedule, timezone=timezone, train=train, pools=_pools(pool))
    from flows.deploy.apply import apply
    from flows.deploy.client import prefect_client
    from flows.deploy.diff import plan_lines
    from flows.deploy.plan import is_done
    from flows.deploy.run import deployment_plan

    with prefect_client() as client:
        steps, owner = deployment_plan(client, run, options, Path.cwd())
        if is_done(steps):
            print_lines([*map(str, plan_lines(steps)), "nothing to do"])
        elif not confirm(plan_lines(steps), "Deploy this?", yes=yes):
            return
        elif not yes and deployment_plan(client, run, options, Path.cwd()) != (steps, owner):
            raise ValueError("nothing was changed: somebody changed the deployments meanwhile; repeat it")
        apply(client, steps, owner)
        if not is_done(steps):
            print_lines(["done"])


def _pools(words: tuple[str, ...]) -> dict[str, str]:
    pools: dict[str, str] = {}
    for word in words:
        ours, separator, name = word.partition("=")
        if not (ours and separator and name):
            raise ValueError(f"--pool {word!r} must be data=NAME or gpu=NAME")
        pools[ours] = name
    return pools
