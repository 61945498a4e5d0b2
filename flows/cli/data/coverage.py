"""`sdflow coverage`: what a set of pictures represents."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read
from flows.cli.store.listing import print_json, print_lines


def coverage(
    what: Annotated[
        str, Parameter(help="Collection or dataset: a reference, or the first digits of a fingerprint.")
    ],
    /,
    *,
    chart: Annotated[
        Path | None, Parameter(help="Draw it, too, into this PNG file.", show_default=False)
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Tell what a collection or a dataset represents, and what not: hosts, languages, licences, sizes.

    **Examples**

    ```
    sdflow coverage images/birds
    sdflow coverage datasets/birds --chart coverage.png
    sdflow coverage datasets/birds --json | jq .hosts.greatest
    ```
    """
    from stages.artifacts.reference import resolve
    from stages.report.coverage import coverage_chart, coverage_markdown, coverage_of

    shares = coverage_of(resolve(open_to_read(store), what))
    if chart is not None:
        chart.write_bytes(coverage_chart(shares))
    if json:
        print_json(shares)
    else:
        print_lines([coverage_markdown(shares)])
