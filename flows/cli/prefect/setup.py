"""`sdflow setup`: a Prefect server made ready for the deployments."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.store.listing import print_lines


def setup(
    *,
    file: Annotated[Path, Parameter(help="Deployments to make.")] = Path("prefect.yaml"),
    deploy: Annotated[bool, Parameter(help="Make the deployments as well.")] = True,
) -> None:
    """Make a Prefect server ready: work pools, an automation that ends lost runs, and the deployments.

    It may be repeated. Start a server first and say where it is; then a worker for each pool:

    ```
    prefect server start &
    export PREFECT_API_URL=http://127.0.0.1:4200/api
    sdflow setup
    prefect worker start --pool data &
    prefect worker start --pool gpu
    ```
    """
    from flows.run.server import be_quiet

    be_quiet()
    from flows.run.setup import deploy_all, prepare

    print_lines(prepare())
    if deploy:
        print_lines(deploy_all(file))
