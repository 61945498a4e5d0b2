"""`sdflow diff`: what changed from one version to another."""

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read
from flows.cli.store.listing import print_json

if TYPE_CHECKING:
    from stages.artifacts.artifact import Artifact

VersionArgument = Annotated[
    str,
    Parameter(
        help="Collection or dataset: a reference (images/birds@2) or the first digits of a fingerprint."
    ),
]


def diff(
    old: VersionArgument,
    new: VersionArgument,
    /,
    *,
    rows: Annotated[
        Path | None,
        Parameter(help="Write every picture that is different to this .csv or .parquet.", show_default=False),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Compare two collections, or two datasets: pictures added, removed by reason, changed, kept.

    **Examples**

    ```
    sdflow diff images/birds@1 images/birds@2
    sdflow diff datasets/birds@1 datasets/birds --rows changes.csv
    sdflow diff images/birds@1 images/birds --json | jq .removed
    ```
    """
    from stages.artifacts.reference import resolve
    from stages.collect.report.diff import diff as compare
    from stages.report.diff import print_diff

    if rows is not None and rows.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--rows {rows} is neither .csv nor .parquet; name it so")
    opened = open_to_read(store)
    before, after = resolve(opened, old), resolve(opened, new)
    difference = compare(before, after)
    if rows is not None:
        _write(before, after, rows)
    if json:
        print_json(json_module.loads(difference.to_json()))
    else:
        print_diff(difference)


def _write(before: "Artifact", after: "Artifact", path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet as pq

    from stages.collect.report.diff import changes

    table = changes(before, after)
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pq.write_table(table, path, compression="zstd")
