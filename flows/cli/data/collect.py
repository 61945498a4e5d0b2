"""`sdflow collect`: the pictures of a config, or a look at what that would ask for."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.cli.options import ConfigArgument, ConfigStoreOption, JsonOption, SetOption, environment_store
from flows.cli.store.listing import print_json

if TYPE_CHECKING:
    from stages.collect.preview.preview import Preview
    from stages.config.run import Run


def collect(
    config: ConfigArgument,
    /,
    *,
    dry_run: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Say what would be done; make no request, keep nothing."
        ),
    ] = False,
    set_: SetOption = (),
    store: ConfigStoreOption = None,
    json: JsonOption = False,
) -> None:
    """Collect the pictures that a config names, in this process, without Prefect.

    With --dry-run it tells what that would come to: rows, hosts, copies, the time at the limits in force, the
    space, and what looks wrong.

    **Examples**

    ```
    sdflow collect birds.yaml --dry-run
    sdflow collect birds.yaml --set collect.limit=1000    # a first try
    sdflow collect birds.yaml
    ```
    """
    if not dry_run:
        from flows.cli.prefect.stage import stage

        stage("collect", config, set_=set_, store=store, json=json)
        return
    from flows.config.file import read_run

    preview = _preview(read_run(config, set_, store, environment_store()))
    if json:
        print_json(preview.to_plain())
    else:
        from stages.report.preview import print_preview

        print_preview(preview)


def _preview(run: "Run") -> "Preview":
    from dataclasses import replace
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from stages.collect.collect import collect
    from stages.collect.edition import previous_of
    from stages.collect.preview.preview import preview
    from stages.collect.sources.files import snapshot
    from stages.store import open_store
    from stages.takedown.records import takedowns

    config, local = run.collect, "://" not in run.store or run.store.startswith("file://")
    folder = Path(run.store.removeprefix("file://")).expanduser() if local else None
    sources = snapshot(config)
    previous, gone, finished = None, None, None
    if folder is None or folder.exists():  # else nothing was ever collected there; a look makes no store
        store = open_store(run.store, writable=False)
        gone = takedowns(store)
        previous = previous_of(store, run.name, config, sources, gone)
        finished = collect.find(previous, sources, gone, config=config, store=store)
    with TemporaryDirectory(prefix="sdflow-") as scratch:
        summary = preview(previous, sources, gone, config, scratch=Path(scratch), store=folder)
    if finished is None:
        return summary
    words = (
        f"this very collection is finished ({finished.short_name}): it is found again, and "
        "nothing is asked; another collect.edition asks anew"
    )
    return replace(summary, problems=[words, *summary.problems])
