"""`sdflow lineage`: what was made from what."""

from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read
from flows.cli.store.listing import print_json, print_lines


def lineage(
    what: Annotated[
        str,
        Parameter(
            show_default=False,
            help="Reference (models/demo, datasets/demo@2) or the first digits of a fingerprint; without it, "
            "the whole store.",
        ),
    ] = "",
    /,
    *,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Show what was made from what: of an artifact what it was made from and what was made from it.

    As JSON: nodes and edges of all of it, what retention dropped as well, in an order that the store decides.

    **Examples**

    ```
    sdflow lineage models/demo
    sdflow lineage --json > lineage.json      # the whole store
    sdflow lineage --json | jq '.edges[] | select(.input == "dataset")'
    ```
    """
    from stages.report import lineage as report

    graph = report.lineage(open_to_read(store), what)
    if json:
        print_json(graph)
    else:
        print_lines(report.as_lines(graph))
