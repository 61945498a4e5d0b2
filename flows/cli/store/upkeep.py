"""`sdflow verify` and `sdflow gc`: is everything there, and what is there for nothing."""

import re
import sys
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read, open_to_write
from flows.cli.store.listing import print_json, print_lines
from stages.units import file_size

if TYPE_CHECKING:
    from stages.artifacts.gc import Swept

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def verify(
    *what: Annotated[
        str, Parameter(help="References or fingerprints; everything in the store where none is given.")
    ],
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Hash again every file, compute again every fingerprint, and compare. The status is 1 where something
    is wrong.

    Without a name it also looks at the records of parts, references, leases, statuses, amendments and
    take-downs, and at the files of unfinished work.

    **Examples**

    ```
    sdflow verify                       # everything
    sdflow verify models/demo datasets/demo@3
    ```
    """
    from stages.artifacts.reference import resolve
    from stages.verify import verify_artifacts, verify_store

    opened = open_to_read(store)
    result = verify_artifacts(resolve(opened, name) for name in what) if what else verify_store(opened)
    if json:
        print_json(result.complaints)
    else:
        print_lines(
            f"{name}: {complaint}"
            for name, complaints in result.complaints.items()
            for complaint in complaints
        )
        others = f" and {result.records:,} other records" if not what else ""
        print_lines([
            f"{result.artifacts:,} artifacts with {result.files:,} files{others}, "
            f"{result.damaged:,} of them damaged"
        ])  # fmt: skip
        if result.unnamed:
            print_lines([f"{result.unnamed:,} files that no record names: nothing says what they should be"])
    if result.damaged:
        sys.exit(1)


def gc(
    *,
    store: StoreOption = DEFAULT_STORE,
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Count only; delete nothing.")
    ] = False,
    older_than: Annotated[
        str, Parameter(help="Unfinished work up to this age is kept: 30m, 12h, 7d; 0s keeps none.")
    ] = "7d",
    json: JsonOption = False,
) -> None:
    """Delete what no finished artifact names: parts and files of runs that were given up, ended leases,
    statuses of processes that died.

    Where another machine's lease was never released, it is watched for a minute: whoever works renews it. A
    record that is damaged is named, what it may name is kept, and the status is 1.

    **Examples**

    ```
    sdflow gc --dry-run
    sdflow gc --older-than 1d
    ```
    """
    from stages.artifacts.gc import collect_garbage

    opened = open_to_read(store) if dry_run else open_to_write(store)
    swept = collect_garbage(opened, grace=_age(older_than), dry_run=dry_run)
    if json:
        print_json(asdict(swept))
    else:
        _print_swept(swept, dry_run)
    if swept.damaged:
        sys.exit(1)


def _print_swept(swept: "Swept", dry_run: bool) -> None:
    verb = "would delete" if dry_run else "deleted"
    print_lines([
        f"{verb} {swept.files:,} files ({file_size(swept.bytes)}), {swept.parts:,} unfinished parts, "
        f"{swept.leases:,} ended leases, {swept.folders:,} working folders, "
        f"{swept.statuses:,} stale statuses",
        *([f"left alone, at work: {', '.join(swept.busy)}"] if swept.busy else []),
        *(f"damaged: {words}" for words in swept.damaged),
    ])  # fmt: skip


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if match is None:
        raise ValueError(
            f"--older-than {text!r} must be a number and one of s, m, h, d, w, such as 12h or 7d"
        )
    return timedelta(**{UNITS[match[2]]: float(match[1])})
