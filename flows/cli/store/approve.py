"""`sdflow approve`: let a dataset's version through that does not meet its run's expectations."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_write
from flows.cli.store.listing import print_json, print_lines

if TYPE_CHECKING:
    from stages.artifacts.reference import Reference
    from stages.store import Store

AGAIN = "the same command again announces it, and so does the next refresh"


def approve(
    version: Annotated[str, Parameter(help="With its number: datasets/birds@7.")],
    /,
    *,
    why: Annotated[str, Parameter(help="Why it may be used all the same; it stays on record.")],
    by: Annotated[str, Parameter(help="Who approves it; else the name of your account.")] = "",
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Let a version of a dataset through that is on hold, because it is not what its run expects.

    From now on `@latest` means it where nothing newer is there, the next version is compared with it, and a
    run that stopped before it goes on. Where a Prefect server is set (PREFECT_API_URL), the version is
    announced there, so that the trainings start that wait for it.

    **Examples**

    ```
    sdflow show datasets/birds@7                   # why it is on hold
    sdflow diff datasets/birds@6 datasets/birds@7
    sdflow approve datasets/birds@7 --why "the museum took its archive down, 3 May"
    ```
    """
    from stages.artifacts.reference import approve as record

    opened = open_to_write(store)
    entry, approval = record(opened, version, why=why, by=by or _account())
    if not json:
        print_lines([f"{entry} was on hold:", *(f"  {reason}" for reason in entry.on_hold), str(approval)])
    announced, words = _announce(opened, store, entry, approval.by)
    if json:
        facts = {"reference": str(entry), "on_hold": entry.on_hold, "approval": asdict(approval)}
        print_json({**facts, "announced": announced, "announcement": words})
    else:
        print_lines([words])
    if announced is None:
        sys.exit(1)


def _account() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # in containers
        raise ValueError("this account has no name; say with --by who approves") from error


def _announce(opened: "Store", store: str, entry: "Reference", by: str) -> tuple[bool | None, str]:
    """Whether the version was announced, None where it should have been, and a sentence on it."""
    from stages.artifacts.reference import released

    newest = next(released(opened, entry.name))
    if newest.number != entry.number:
        return False, f"nothing was announced: {newest} is newer"

    # Prefect takes seconds to import: after the approval is on record.
    from flows.run.server import be_quiet

    be_quiet()
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        return False, f"nothing was triggered, as no Prefect server is set (PREFECT_API_URL); {AGAIN}"

    import httpx

    from flows.announcement import announce
    from flows.run.access import check_server
    from flows.step import Result, RunContext

    try:
        check_server()
        context = RunContext(store, entry.name.removeprefix("datasets/"))
        if announce(context, Result.of(entry.open(opened), store), f"approved by {by}:"):
            return True, "announced on Prefect's server: what waits for it starts"
    except (ValueError, OSError, httpx.HTTPError) as error:
        return None, f"it is approved, and not announced: {error}; {AGAIN}"
    return False, "it had been announced before"
