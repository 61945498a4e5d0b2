"""`sdflow retain`: drop old versions."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read, open_to_write
from flows.cli.store.listing import print_json, print_lines, print_table
from stages.units import file_size

if TYPE_CHECKING:
    from stages.retention.outcome import Retained


def retain(
    *names: Annotated[str, Parameter(help="Names with a history, as datasets/birds; one or more.")],
    last: Annotated[int, Parameter(help="Newest versions that stay, 1 or more.")],
    monthly: Annotated[
        int, Parameter(help="Months, back from now, of each of which the newest version stays besides.")
    ] = 0,
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Tell what would be dropped; change nothing.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Drop old versions of names: their numbers, their results, and what only they were made of.

    With a dataset's versions go the collections of its run that no version needs any more. What `@latest`
    means stays, what somebody reads at the moment, what was published in the last hour, and all that any
    remaining reference needs, as an evaluation its model; but a model does not hold the dataset that it
    learned from. Of that stays what it was and where it came from, so that `show`, `trace` and `forget` can
    still answer. Then `sdflow gc` frees the space of files that are older than its `--older-than`. A record
    that cannot be read is named, nothing is dropped, and the status is 1.

    **Examples**

    ```
    sdflow retain datasets/birds --last 7 --monthly 12 --dry-run
    sdflow retain datasets/birds datasets/cats --last 3 && sdflow gc
    ```
    """
    from stages.config.retention import RetainConfig
    from stages.retention.retain import retain as retain_versions

    if not names:
        raise ValueError("no name is given; give one or more, as datasets/birds (`sdflow ls` lists them)")
    rule = RetainConfig(last=last, monthly=monthly)
    opened = open_to_read(store) if dry_run else open_to_write(store)
    retained = retain_versions(opened, names, rule, dry_run=dry_run)
    if json:
        print_json(asdict(retained))
    else:
        _print_retained(retained, dry_run)
    if retained.damaged:
        sys.exit(1)


def _print_retained(retained: "Retained", dry_run: bool) -> None:
    if retained.damaged:
        print_lines(f"damaged: {words}" for words in retained.damaged)
        print_lines(["nothing was dropped: what cannot be read may name what would go"])
        return
    print_table(
        ["version", "", "artifact", "why"],
        [
            [version.reference, "stays" if version.stays else "goes", version.artifact, version.why]
            for version in retained.versions
        ],
    )
    dropped = sum(not version.stays for version in retained.versions)
    verb, gc = ("would drop", "would free") if dry_run else ("dropped", "frees")
    print_lines([
        "",
        *retained.uses,
        f"{verb} {dropped:,} versions and {len(retained.artifacts):,} results; `sdflow gc` {gc} up to "
        f"{retained.files:,} files ({file_size(retained.bytes)})",
        *([f"{retained.tombstones:,} dropped results stay known"] if retained.tombstones else []),
    ])  # fmt: skip
