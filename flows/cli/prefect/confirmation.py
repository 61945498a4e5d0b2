"""A plan that changes a server: shown, and confirmed by whoever reads it."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.text import Text as RichText

YesOption = Annotated[
    bool, Parameter(name="--yes", negative="", show_default=False, help="Do it without a question.")
]


def confirm(lines: "Iterable[RichText]", question: str, *, yes: bool) -> bool:
    """Show a plan; whether it is to be done.

    Args:
        lines: of the plan.
        question: a sentence that ends with a question mark.
        yes: it is.

    Raises:
        ValueError: there is nobody to answer, as in a script.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ValueError("nothing was changed: standard input is no terminal to answer from; add --yes")
    try:
        answer = console.input(Text(f"{question} [y/N] "))  # in plain text brackets would be markup
    except EOFError:
        answer = ""
    if answer.strip().lower() in ("y", "yes"):
        return True
    console.print("nothing was changed")
    return False
