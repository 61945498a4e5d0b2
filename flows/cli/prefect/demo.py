"""`sdflow demo`: the whole line on a small world, with figures."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, StoreOption


def demo(
    *,
    store: StoreOption = DEFAULT_STORE,
    report: Annotated[Path | None, Parameter(help="JSON file for all figures that it prints.")] = None,
    preset: Annotated[
        Literal["demo", "ddpm", "ddpm-cosine", "smoke"],
        Parameter(
            help="ddpm learns the demo's world as a DDPM from nothing, with the linear schedule or with the "
            "cosine one; smoke is a quick try of all parts."
        ),
    ] = "demo",
    port: Annotated[int, Parameter(help="Of the demo's web server, on loopback.")] = 27182,
) -> None:
    """Make a small world of captioned pictures with planted defects, serve it, and run the whole line on it.

    It ends with what was left out and why, defects caught and missed, and what the model has learned. No
    network is used; again, it finds everything finished.

    **Examples**

    ```
    sdflow demo
    sdflow demo --preset smoke --store /tmp/try --report figures.json
    ```
    """
    from flows.demo import demo as show_demo

    show_demo(store, report, preset, port)
