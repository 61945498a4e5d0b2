"""A Prefect server for as long as a command runs; `python -m flows.run.server PORT` serves.

Prefect can start one itself, but that one shares the terminal's process group, so that Ctrl-C would end it
before the run could say that it was ended; it lives on when its parent is killed; and it cannot start where
site-packages holds the backport `dataclasses`, as Prefect puts that folder first on the path.

Whoever may talk to a server of Prefect can read runs and their parameters, and start deployments. Ours
listens on the loopback, answers requests under its own names alone (so that no page in a browser reaches it
by a name of its own, DNS rebinding), allows no other origin (CORS), and asks for a password that is drawn for
each server and passed on in the environment: not in arguments, not in logs, not in files.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.run.lost_runs import ENVIRONMENT

STARTUP = 180.0
"""Seconds after which a server that does not answer is given up; a new database can take 40 on busy cores."""

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    # To the server, not to the terminal: that shows progress, and the command says what failed in one line.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    **ENVIRONMENT,
}
"""Environment for commands of ours that use Prefect; what the user has set stands."""


USER = "sdflow"
"""Name that the server of our own knows, with its password."""
HOSTS = ("127.0.0.1", "localhost")
"""Names that it answers under."""
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'"
"""Content-Security-Policy of its pages: Prefect's newer UI would ask a company that analyses visits for its
settings with each page, whatever the server's own are; browsers let it talk to this server alone."""


class Server(NamedTuple):
    """A server of Prefect."""

    url: str
    """Of its API."""
    sign_in: str
    """What its web pages ask for, `NAME:PASSWORD`; empty for a server of the user's own."""


def be_quiet() -> None:
    """Set `QUIET` where the user has said nothing. To be called before Prefect is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_server(*, ui: bool = False, services: bool = False) -> Generator[Server]:
    """A server on a free port of the loopback, with the user's own database; ended with the block.

    Args:
        ui: serve Prefect's web pages too; brings the services.
        services: run schedules, triggers and automations too, which a single run does without.

    Yields:
        The server, whose address and password are set as PREFECT_API_URL and PREFECT_API_AUTH_STRING, too.
        Where the user has set an address (in the environment or by Prefect's profile), that one is used and
        nothing is started.

    Raises:
        ValueError, ConnectionError: the user's server does not let us in, or is away.
        RuntimeError: it ended, or did not answer in `STARTUP` seconds; says where its log is.
    """
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_HOME, temporary_settings

    own: str | None = PREFECT_API_URL.value()
    if own:
        from flows.run.access import check_server

        check_server()
        yield Server(own, "")
        return
    home: Path = PREFECT_HOME.value()
    home.mkdir(parents=True, exist_ok=True)
    log = home / "sdflow-server.log"
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    sign_in = f"{USER}:{secrets.token_urlsafe(32)}"
    environment = {
        **os.environ,
        "PREFECT__SERVER_EPHEMERAL": "" if services or ui else "1",
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_UI_ENABLED": "1" if ui else "0",
        "PREFECT_UI_API_URL": url,
        "PREFECT_SERVER_API_AUTH_STRING": sign_in,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url.removesuffix("/api"),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "0",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.run.server", str(port)],
            stdin=subprocess.PIPE,  # never written: the server ends when it closes, however we end
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
        try:
            _wait(process, url, log)
            variables = {PREFECT_API_URL.name: url, PREFECT_API_AUTH_STRING.name: sign_in}
            with (
                temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: sign_in}),
                _environment(variables),
            ):
                try:
                    yield Server(url, sign_in)
                finally:
                    _send_what_waits()
        finally:
            _end(process)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None]:
    """Variables in the environment, for processes that the block starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + STARTUP
    with httpx.Client() as client:
        while time.monotonic() < until:
            if process.poll() is not None:
                raise RuntimeError(
                    f"Prefect's server ended with status {process.returncode}; its log is {log}"
                )
            try:
                if client.get(f"{url}/health", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
    raise RuntimeError(f"Prefect's server did not answer within {STARTUP:.0f} s; its log is {log}")


def _send_what_waits() -> None:
    """Logs and events are sent by threads; at exit, without a server, they would wait for it in vain."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=10)
    EventsWorker.drain_all(timeout=10)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin:
        process.stdin.close()


def _with_policy(app: "ASGIApp") -> "ASGIApp":
    """An app whose answers carry `POLICY`."""

    async def answer(scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def sent(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await app(scope, receive, sent)

    return answer


def _serve(port: int) -> None:
    import uvicorn
    from prefect.server.api.server import create_app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    def end_with_parent() -> None:
        sys.stdin.buffer.read(1)  # returns when the other end closes
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    app = TrustedHostMiddleware(_with_policy(create_app()), allowed_hosts=HOSTS)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
