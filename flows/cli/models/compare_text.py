"""`sdflow compare-text`: which text encoder a small denoiser learns best with."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, StoreOption
from sdmodel.config.text import TextKind

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

ROWS = 12_000
"""Pictures of the world of two."""
SEED = 23
"""Of that world."""


def compare_text(
    *,
    out: Annotated[
        Path, Parameter(help="Markdown page for table and plot; a page that has the marks keeps the rest.")
    ] = Path("text-encoders.md"),
    emoji: Annotated[
        str, Parameter(help="Folder of captioned emoji (metadata.csv with a column text); empty: without.")
    ] = "",
    kinds: Annotated[tuple[TextKind, ...], Parameter(help="Encoders; all where none is named.")] = (),
    seconds: Annotated[float, Parameter(help="That each denoiser learns.")] = 75.0,
    seeds: Annotated[int, Parameter(help="Times that all is done, for intervals.")] = 3,
    at_once: Annotated[int, Parameter(help="Trainings side by side, of one core each; 0: one a core.")] = 0,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Compare text encoders: the same small denoiser with each, for the same time, three times.

    The pictures show two groups of shapes, told apart by words that mean nothing without their order ("a red
    circle left of two blue squares"). Each encoder is pretrained on pairs of pictures and captions, then
    conditions a denoiser: frozen, learned on, and from nothing. It takes hours; the same command continues,
    and what is finished is found.

    **Examples**

    ```
    sdflow compare-text --store comparison --out docs/text-encoders.md --emoji emoji
    sdflow compare-text --store try --kinds lstm --kinds fasttext --seconds 10 --seeds 1
    ```
    """
    from flows.compare.cases import KINDS, Comparison
    from flows.compare.figures import rows
    from flows.compare.machine import lanes, machine
    from flows.compare.page import check_page, found, write_page
    from flows.compare.pictures import ceilings, pictures
    from flows.run.execute import run_flow
    from flows.run.terminal import Terminal
    from stages.store import open_store

    terminal = Terminal()
    comparison = Comparison(
        store=store,
        pictures="",
        emoji=emoji,
        kinds=kinds or KINDS,
        seeds=seeds,
        seconds=seconds,
        at_once=at_once or lanes(),
        machine=machine(),
    )
    check_page(out)
    if emoji and not (Path(emoji) / "metadata.csv").is_file():
        raise ValueError(f"emoji={emoji}: there is no {Path(emoji) / 'metadata.csv'}, which has the captions")
    open_store(store)
    terminal.log(f"pictures of two groups of shapes: {ROWS:,}, drawn where they are not there yet")
    comparison = replace(comparison, pictures=str(pictures(store, ROWS, SEED)))

    def start() -> "State[Any]":
        from flows.compare.flow import compare_text as flow

        return flow(comparison, return_state=True)

    told = rows(run_flow(start, terminal))
    most = ceilings(comparison)
    write_page(out, told, comparison, most)
    terminal.log(f"\n{found(told, comparison, most)}\n\nwritten to {out}")
