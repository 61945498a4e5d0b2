"""`sdflow undeploy`: a run's deployments removed from a Prefect server."""

from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import environment_store
from flows.cli.prefect.confirmation import YesOption, confirm
from flows.cli.store.listing import print_lines


def undeploy(
    run: Annotated[str, Parameter(help="The run's YAML file, or its name.")],
    /,
    *,
    store: Annotated[
        str | None, Parameter(name="--store", help="Of the run; the file's, or the one that there is.")
    ] = None,
    yes: YesOption = False,
) -> None:
    """Remove a run's deployments and automations from a Prefect server, and nothing else.

    It lists them, and asks. The store, the work pools and the history of runs stay.

    **Examples**

    ```
    sdflow undeploy birds.yaml
    sdflow undeploy birds --yes
    ```
    """
    from pathlib import Path

    from flows.config.file import read_run
    from flows.run.server import be_quiet

    name = run
    if Path(run).is_file() or run.endswith((".yaml", ".yml")):
        config = read_run(Path(run), (), store, environment_store())
        name, store = config.name, config.store
    be_quiet()
    from flows.deploy.apply import remove
    from flows.deploy.client import prefect_client
    from flows.deploy.diff import plan_lines
    from flows.deploy.run import removal_plan

    with prefect_client() as client:
        steps = removal_plan(client, name, store)
        if not steps:
            print_lines([f"nothing to do: nothing of {name} is deployed"])
        elif confirm(plan_lines(steps), "Remove these?", yes=yes):
            remove(client, steps)
            print_lines(["done"])
