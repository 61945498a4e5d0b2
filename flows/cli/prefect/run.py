"""`sdflow run`: a whole run through Prefect."""

import shlex
from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import ConfigArgument, ConfigStoreOption, SetOption, environment_store


def run(
    config: ConfigArgument,
    /,
    *,
    set_: SetOption = (),
    store: ConfigStoreOption = None,
    ui: Annotated[
        bool, Parameter(negative="", show_default=False, help="Serve Prefect's web pages while it runs.")
    ] = False,
) -> None:
    """Run everything that a config asks for, through Prefect: from its sources to an evaluated model.

    The same command again continues: what is finished is found, and only what a change concerns is done
    again.

    **Examples**

    ```
    sdflow run birds.yaml
    sdflow run birds.yaml --set collect.limit=1000    # a first try
    sdflow run birds.yaml --store s3://bucket/results
    ```

    **A small config**

    ```
    name: birds
    collect:
      urls:
        - {name: web, tables: [birds.parquet], caption_columns: [text]}
    score: {model: ViT-B-32, pretrained: laion2b_s34b_b79k}
    filter: {min_similarity: 0.28}
    ```
    """
    from flows.config.file import read_run

    chosen = read_run(config, set_, store, environment_store())

    # Prefect takes seconds to import: after the config is known to be good.
    from flows.run.execute import execute
    from flows.run.terminal import Terminal, funnel_table

    terminal = Terminal()
    results = execute(chosen, terminal, ui=ui)
    artifacts = [result.open() for result in results.values()]
    terminal.console.print()
    terminal.console.print(funnel_table(artifacts, {name: result.cached for name, result in results.items()}))
    place = shlex.quote(chosen.store)
    terminal.log(f"\nsdflow show evaluations/{chosen.name} --store {place}   # the report")
    if chosen.train.objective == "diffusion":
        terminal.log(f'sdflow generate models/{chosen.name} "a caption" --store {place}   # new images')
