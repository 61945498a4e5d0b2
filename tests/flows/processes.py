"""Servers that tests start as processes of their own, ended with the test however that ends."""

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UNTIL_PIPE_CLOSES = 'number=$1; shift; "$@" & read -r _; kill -"$number" $!; wait $!'
"""Shell: a process that gets a signal when our end of the pipe closes."""


@contextmanager
def background(
    command: Sequence[str | Path], log: Path, *, ending: str = "TERM", **options: Any
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that gets a signal after the block, or when this process is gone.

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
            process.wait(120)


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
