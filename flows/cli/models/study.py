"""`sdflow study`: a controlled comparison of trainings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.cli.options import ConfigStoreOption, environment_store

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from flows.study.results import StudyResults


def study(
    file: Annotated[
        Path,
        Parameter(help="YAML file; its keys are described in flows/study/config.py. Or results as JSON."),
    ],
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(help="Markdown page for tables and plot, NAME.md; one that has the marks keeps the rest."),
    ] = None,
    lanes: Annotated[
        int, Parameter(help="Trainings side by side; 0: as many as cores and memory allow.")
    ] = 0,
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Say cases and hours, and what is refused.")
    ] = False,
    store: ConfigStoreOption = None,
) -> None:
    """Compare arms of a run: train each with several seeds, within a budget, and tell what is decided.

    A study names a base run, arms that override some of its keys or start from another arm's model, seeds,
    measures, and a budget in images or seconds. Stages that cases share run once. It may take hours; the same
    command continues, and what is finished shows as cached. Beside the page lie a plot and the results as
    JSON, from which the page can be written again; the store keeps them too, for `sdflow dashboard`.

    **Examples**

    ```
    sdflow study examples/studies/text-encoders.yaml --dry-run
    sdflow study examples/studies/text-encoders.yaml --store comparison --out docs/text-encoders.md
    sdflow study text-encoders.json --out page.md     # the page alone; --store keeps its results there too
    ```

    **A small study**

    ```
    name: width
    base: birds.yaml
    budget: {seconds: 600}
    arms:
      - {name: narrow, overrides: ["train.unet.channels=[32, 64]"]}
      - {name: wide, overrides: ["train.unet.channels=[64, 128]"]}
    measures: [{name: loss, figure: evaluation.validation.mse, better: lower}]
    ```
    """
    from flows.study.page import check_page, write_page
    from flows.study.results import StudyResults

    page = out or Path(file.with_suffix(".md").name)
    check_page(page)
    if file.suffix == ".json":
        read = StudyResults.read(file)
        write_page(page, read)
        if store:
            _record(store, read)
        return

    if lanes < 0:
        raise ValueError(f"--lanes={lanes} must be at least 0; 0 takes as many as cores and memory allow")
    _run(file, page, lanes, dry_run, store)


def _run(file: Path, page: Path, lanes: int, dry_run: bool, store: str | None) -> None:
    from flows.preflight import check
    from flows.study.cases import cases_of, read_study
    from flows.study.machine import lanes as lanes_for
    from flows.study.machine import machine

    config = read_study(file)
    base = (file.parent / config.base).resolve()
    cases = cases_of(config, base, store, environment_store())
    started = {arm.name for arm in config.arms if arm.start}
    for case in cases:
        if case.seed == config.seeds[0] and case.arm not in started:
            check(case.run)

    from flows.run.execute import run_flow  # which takes seconds to import: mistakes are told before
    from flows.run.terminal import Terminal
    from flows.study.measures import REFERENCES
    from flows.study.page import markdown, write_page
    from flows.study.preview import preview
    from flows.study.results import StudyResults

    terminal, here = Terminal(), machine()
    at_once = lanes or lanes_for([case.run.train for case in cases])
    if dry_run:
        for line in preview(config, cases, here, at_once):
            terminal.log(line)
        return

    def start() -> "State[Any]":
        from flows.study.flow import study as flow

        return flow(config, base, cases[0].run.store, here, at_once, return_state=True)

    names = {measure.reference for measure in config.measures if measure.reference}
    known = {name: dict(REFERENCES[name](cases[0].run.evaluate)) for name in sorted(names)}
    results = StudyResults(config, here, known, run_flow(start, terminal))
    write_page(page, results)
    _record(cases[0].run.store, results)
    terminal.log(f"\n{markdown(results)}\n\nwritten to {page}, with {page.with_suffix('.json')}")


def _record(store: str, results: "StudyResults") -> None:
    """Keep the results in a store, where the dashboard finds them."""
    from flows.study.record import study_record
    from stages.artifacts.study import add_study
    from stages.store import open_store

    add_study(open_store(store), study_record(results))
