"""`sdflow trace`: what became of one row."""

from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read
from flows.cli.store.listing import print_json, print_lines


def trace(
    what: Annotated[
        str,
        Parameter(
            help="A URL or path as the source has it, or a uid (32 hex digits, or the first 8 or more)."
        ),
    ],
    /,
    *,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Tell what happened to one picture at every stage, down to the models trained on it.

    **Examples**

    ```
    sdflow trace https://example.org/bird.jpg
    sdflow trace 5f0c21aa7be3 --json
    ```
    """
    from stages.report.trace import as_lines, trace_row

    history = trace_row(open_to_read(store), what)
    if json:
        print_json(history)
    else:
        print_lines(as_lines(history))
