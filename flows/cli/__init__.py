"""`sdflow`: the command line.

A command's module is imported when it is called, or listed by `--help`, and imports what it needs when it
runs. Prefect takes seconds to import and torch more, pandas one; `--help`, `ls`, `show` and `trace` need none
of them. So deferred imports are the rule in this folder.
"""

import atexit
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from types import FrameType

from cyclopts import App, CycloptsError

from stages.errors import Stopped, naming_disk_faults
from stages.foreign_text import escape_lines
from stages.redaction import redact, redact_error

HELP = """
From lists of image URLs to an evaluated text-to-image model, with the origin of every image and model on
record.

A *store* holds results: a folder (default: ./store, or $SDFLOW_STORE), s3://bucket/prefix, gs:// or az://.
*References* name them: images/NAME, datasets/NAME, models/NAME, evaluations/NAME, each with a history:
`@1`, `@2` and so on, and `@latest`.

Try it, then run your own:

```
sdflow demo                       # a small world, learned in minutes
sdflow init birds.parquet --out birds.yaml
sdflow collect birds.yaml --dry-run          # what it would ask for
sdflow plan birds.yaml            # what its training would take
sdflow run birds.yaml             # from the sources to a model
sdflow run birds.yaml --set filter.min_similarity=0.3    # only what changes
sdflow generate models/birds "a red bird" --out grid.png
sdflow trace https://example.org/bird.jpg    # what became of it
```

Every command can be repeated: what is finished is found, what was interrupted continues.
`sdflow --debug COMMAND ...` shows the traceback of an error.
"""

app = App(
    name="sdflow",
    help=HELP,
    help_format="markdown",
    version=lambda: version("sdflow"),
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
COMMANDS = (
    *("prefect.demo:demo", "data.init:init", "models.plan:plan", "prefect.run:run", "data.collect:collect"),
    *("prefect.stage:stage", "store.ls:ls", "store.show:show", "data.diff:diff"),
    *(
        "data.coverage:coverage",
        "store.trace:trace",
        "models.average:average",
        "data.cluster:cluster",
        "data.label:label",
    ),
    *("models.study:study", "models.generate:generate", "models.export:export"),
    *("store.lineage:lineage", "store.dashboard:dashboard", "store.approve:approve", "store.forget:forget"),
    *("store.upkeep:verify", "store.retain:retain", "store.upkeep:gc"),
    *("prefect.setup:setup", "prefect.deploy:deploy", "prefect.undeploy:undeploy"),
)
"""Module below this folder and function in it, in the order of `--help`."""
for order, path in enumerate(COMMANDS):
    app.command(f"flows.cli.{path}", sort_key=order)

CONTINUED = frozenset({"demo", "run", "collect", "stage", "study"})
"""Commands that keep what they have finished when they are interrupted."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a mistake is one line on standard error and a status other than 0."""
    if arguments is None:
        atexit.register(_end_quietly)
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [argument for argument in words if argument != "--debug"]
    try:
        if not words or words[0] in app.help_flags:
            _import_commands()
        with _terminated_as_exit(), naming_disk_faults("what this command reads and writes"):
            app(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _print_error(" ".join(str(error).split()) + " (see sdflow --help)")
        sys.exit(2)
    except BrokenPipeError:  # `sdflow ls | head`: whoever read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        promise = "; what is finished is kept, and the same command continues"
        _print_error("interrupted" + (promise if words[:1] and words[0] in CONTINUED else ""))
        sys.exit(130)
    except ValueError as error:
        _explain(error, debug)
        sys.exit(2)
    except Stopped as error:
        _explain(error, debug)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the one place where whatever is left becomes a line for people
        _explain(error, debug)
        sys.exit(1)


@contextmanager
def _terminated_as_exit() -> Generator[None]:
    """SIGTERM unwinds like an exit, so that temporary folders go, and servers and children are ended.

    Prefect's own handler, which stops the stages, hands on to this one. Only a main thread can set any."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _import_commands() -> None:
    """The list of commands says what each one does in its function's own words."""
    for name in app:
        app[name]


def _end_quietly() -> None:
    """Let nothing be said once the process's own work is over.

    DuckDB's binding lists sixty lines of objects that it finds alive when the interpreter ends, because of
    other libraries' daemon threads (Prefect has two). Nobody can act on that.
    """
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _explain(error: Exception, debug: bool) -> None:
    redact_error(error)
    if debug:
        sys.stderr.write(escape_lines("".join(traceback.format_exception(error))))
    words = str(error)
    # Types of ours, and the system's, speak for themselves; others are named, as nobody expected them.
    expected = isinstance(error, ValueError | OSError) or type(error).__module__.startswith(
        ("flows.", "stages.")
    )
    _print_error(
        words if words and expected else f"{type(error).__name__}: {words} (sdflow --debug shows where)"
    )


def _print_error(words: str) -> None:
    print(f"sdflow: {escape_lines(redact(words))}", file=sys.stderr)  # noqa: T201 - the command line's own voice
