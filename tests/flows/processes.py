"""Servers that tests start as processes of their own, ended with the test however that ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UNTIL_PIPE_CLOSES = (
    'sign=$1; shift; exec 3<&0; (read -r _ <&3; trap "" "$sign"; kill -"$sign" 0; sleep 60; kill -KILL 0) & '
    'exec "$@" 3<&- </dev/null'
)
"""Shell, in a session of its own: all of it gets a signal when our end of the pipe closes. The command takes
the shell's place: as a job in the background it would ignore SIGINT, by which Prefect's workers end."""


@contextmanager
def background(
    command: Sequence[str | Path], log: Path, *, ending: str = "TERM", **options: Any
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that gets a signal, with all that it has started, after the block or when we are gone.

    Args:
        command: program and arguments.
        log: gets what it prints.
        ending: the signal's name.
        options: of `subprocess.Popen`.
    """
    shell = ["/bin/sh", "-c", UNTIL_PIPE_CLOSES, "sh", ending, *command]
    with log.open("w") as output:
        process = subprocess.Popen(
            shell, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True, **options
        )
        try:
            yield process
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(60)
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # the watching shell, and whatever has not ended
                process.wait()


@contextmanager
def python_module(
    arguments: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A module of Python in a session of its own, whose own process alone gets SIGTERM after the block.

    Args:
        arguments: the module's name and its arguments.
        log: what it prints is added to it.
        environment: all of the process's.
    """
    command = [sys.executable, "-m", *arguments]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
