"""Run a config through Prefect, from a command: server, quiet settings, progress on the terminal."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from flows.preflight import check
from flows.run.server import be_quiet
from flows.run.terminal import Terminal
from flows.step import Result
from stages.config.run import Run

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


CONTINUES = "\nWhat is finished is kept; the same command continues it."


class RunFailedError(Exception):
    """A run ended without its result; the message says which step failed, why, and how to go on."""


def execute(run: Run, terminal: Terminal, *, ui: bool = False) -> dict[str, Result]:
    """The results of a whole run, by stage; see `run_flow`.

    ValueError: it cannot work, which is told before anything starts."""

    check(run)

    def start() -> "State[Any]":
        from flows.pipeline import pipeline

        return pipeline(run, return_state=True)

    return cast("dict[str, Result]", run_flow(start, terminal, ui=ui))


def run_flow(start: "Callable[[], State[Any]]", terminal: Terminal, *, ui: bool = False) -> Any:
    """What a flow returns; run through Prefect, on the user's server or one of our own.

    Args:
        start: imports and calls the flow, with `return_state=True`, once there is a server.
        terminal: shows progress.
        ui: let the server of our own show Prefect's web pages, too.

    Raises:
        RunFailedError: a step failed, the server is away for longer than its answers are waited for, or the
            run was cancelled, or taken over, on the server.
        KeyboardInterrupt, SystemExit: the run was interrupted or terminated; stages and processes have ended.
    """
    be_quiet()
    terminal.log("starting Prefect")
    # Prefect takes seconds to import: only commands that run flows pay.
    from flows.run.server import prefect_server

    with prefect_server(ui=ui) as server:
        import httpx
        from prefect.exceptions import Abort

        from flows.report.progress import shown_on

        place = f"Prefect is at {server.url.removesuffix('/api')}"
        asks = f", and asks for {server.sign_in}" if server.sign_in else ""
        terminal.log(f"{place}{asks}" if ui else "running")
        try:
            with terminal.live(), shown_on(terminal):
                state = start()
        except Abort as end:  # the run is another's: see `flows.ownership`
            raise RunFailedError(f"{end}{CONTINUES}") from None
        except httpx.TransportError as error:
            raise RunFailedError(
                f"Prefect's server at {server.url} does not answer ({type(error).__name__}: {error}); "
                f"start it again, or unset PREFECT_API_URL for a server of our own{CONTINUES}"
            ) from error
        outcome = state.result(raise_on_failure=False)
    if state.is_completed():
        return outcome
    # Interrupted flows raise; what comes here has failed.
    words = str(outcome) or type(outcome).__name__
    step = terminal.failed_step
    # A mistake of the user's in the first step: nothing was made that could be kept.
    begun = terminal.has_finished or not isinstance(outcome, ValueError)
    promise = CONTINUES if begun else ""
    raise RunFailedError(f"{step + ' failed: ' if step else ''}{words}{promise}") from (
        outcome if isinstance(outcome, Exception) else None
    )
