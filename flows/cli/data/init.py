"""`sdflow init`: a first config for sources that are there."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.store.listing import print_lines


def init(
    *sources: Annotated[
        str,
        Parameter(
            help="Tables of URLs (path, glob, s3://, gs:// or az://), folders of images, tars, or Parquet "
            "files with pictures."
        ),
    ],
    out: Annotated[Path, Parameter(help="YAML file to write.")] = Path("run.yaml"),
    name: Annotated[str, Parameter(show_default=False, help="Of the run; that of the first source.")] = "",
    force: Annotated[
        bool, Parameter(negative="", show_default=False, help="Overwrite the file if it is there.")
    ] = False,
) -> None:
    """Look at sources and write a config that runs: what was guessed and why, and all that can be chosen.

    Only the first rows of each source are read, and no picture is asked for.

    **Examples**

    ```
    sdflow init birds.parquet                 # columns by their names and first values
    sdflow init photos/ 'old/*.tar' --out birds.yaml --name birds
    ```
    """
    from flows.config.init import first_config
    from stages.artifacts.names import check_name
    from stages.collect.sources.inspect import inspect_sources

    if not sources:
        raise ValueError(
            "sdflow init needs a source: a table of URLs, a folder of images, tars or Parquet files"
        )
    if name:
        check_name(name)
    guesses = inspect_sources(sources)
    name = name or guesses[0].source.name
    check_name(name)
    try:
        with out.open("w" if force else "x", encoding="utf-8") as file:
            file.write(first_config(name, guesses, str(out)))
    except FileExistsError:
        raise ValueError(f"{out} is there already; --force overwrites it, --out writes elsewhere") from None
    except OSError as error:
        raise ValueError(f"{out} cannot be written: {error.strerror}; choose another --out") from error
    for guess in guesses:
        print_lines([f"{guess.source.name}: {guess.saw}"])
    print_lines(["", f"{out} is written; look at it, then see what it would ask for:"])
    print_lines([f"sdflow collect {shlex.quote(str(out))} --dry-run"])
