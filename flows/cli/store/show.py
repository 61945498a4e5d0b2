"""`sdflow show`: one artifact."""

from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read
from flows.cli.store.listing import print_lines, print_manifest
from stages.fingerprint import short_hash


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
    if len(history) > 1:
        print_lines(["", "history"])
        print_lines(
            f"  {entry}  {entry.short_name}  {short_hash(entry.digest)}  {entry.time[:19]}"
            for entry in history
        )
    if "report.md" in artifact.files:
        print_lines(["", artifact.read("report.md").decode()])
