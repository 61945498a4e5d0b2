"""`sdflow setup`: a Prefect server made ready for runs."""

from flows.cli.prefect.confirmation import YesOption, confirm
from flows.cli.store.listing import print_lines


def setup(*, yes: YesOption = False) -> None:
    """Make a Prefect server ready: the work pools data and gpu, and an automation that ends lost runs.

    It shows what it would do, and asks. It may be repeated: limits of work pools, and whatever else people
    have changed, stay as they are. Start a server first and say where it is; then a worker for each pool:

    ```
    prefect server start &
    export PREFECT_API_URL=http://127.0.0.1:4200/api
    sdflow setup
    sdflow deploy birds.yaml --schedule "0 3 * * *" --train
    prefect worker start --pool data &
    prefect worker start --pool gpu
    ```
    """
    from flows.run.server import be_quiet

    be_quiet()
    from flows.deploy.client import prefect_client
    from flows.deploy.diff import setup_lines
    from flows.deploy.setup import apply_setup, setup_plan

    with prefect_client() as client:
        plan = setup_plan(client)
        lines = list(setup_lines(plan))
        if not plan.is_done and not confirm(lines, "Make these?", yes=yes):
            return
        apply_setup(client, plan)
        if plan.is_done:
            print_lines([*map(str, lines), "nothing to do"])
        else:
            print_lines(["done"])
