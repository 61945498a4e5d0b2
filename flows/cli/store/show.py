"""`sdflow show`: one artifact."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read
from flows.cli.store.listing import print_lines, print_manifest
from stages.fingerprint import short_hash

if TYPE_CHECKING:
    from stages.artifacts.reference import Reference
    from stages.store import Store


def show(
    what: Annotated[
        str, Parameter(help="Reference (models/demo, datasets/demo@2) or the first digits of a fingerprint.")
    ],
    /,
    *,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Show an artifact: its funnel, config, inputs, statistics and files; an evaluation's report, too.

    Of one that was dropped, what is known of it still.

    **Examples**

    ```
    sdflow show datasets/demo
    sdflow show filter/3fa92c --json | jq .funnel.reasons
    ```
    """
    from stages.artifacts.reference import references, resolve

    opened = open_to_read(store)
    artifact = resolve(opened, what, dropped=True)
    print_manifest(artifact, as_json=json)
    if json:
        return
    history = references(opened, what.partition("@")[0])
    if len(history) > 1 or any(entry.on_hold for entry in history):
        print_lines(["", "history"])
        for entry in history:
            print_lines([
                f"  {entry}  {entry.short_name}  {short_hash(entry.digest)}  {entry.time[:19]}",
                *(f"    {words}" for words in _verdict(opened, entry)),
            ])  # fmt: skip
    if "report.md" in artifact.files:
        print_lines(["", artifact.read("report.md").decode()])


def _verdict(store: "Store", entry: "Reference") -> Iterator[str]:
    """Why a version is or was on hold, and who let it through."""
    from stages.artifacts.reference import approval

    if entry.on_hold:
        approved = approval(store, entry)
        yield f"{'was ' if approved else ''}on hold: {'; '.join(entry.on_hold)}"
        if approved is not None:
            yield str(approved)
