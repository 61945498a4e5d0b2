"""A PostgreSQL server for a test: on the loopback, in a folder of its own, ended with the test."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.flows.processes import background, free_port

INSTALL = (
    "install PostgreSQL (Debian: apt-get install --no-install-recommends postgresql), or leave out -m matrix"
)
USER = "prefect"


def binaries() -> Path:
    """The folder of PostgreSQL's programs: that of the newest version in Debian's place, or the PATH's.

    Raises:
        FileNotFoundError: there is none; says what to install.
    """
    versions = Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    found = str(newest) if newest else shutil.which("initdb")
    if not found:
        raise FileNotFoundError(f"PostgreSQL's initdb is not in /usr/lib/postgresql or the PATH: {INSTALL}")
    return Path(found).resolve().parent


@contextmanager
def postgresql() -> Iterator[str]:
    """A new, empty database; its address for Prefect, `postgresql+asyncpg://USER:PASSWORD@HOST:PORT/NAME`.

    PostgreSQL refuses to be run by root, whose tests run it as the system's user `postgres`.
    """
    programs = binaries()
    root = os.geteuid() == 0
    owner = {"user": "postgres", "group": "postgres", "extra_groups": []} if root else {}
    password = secrets.token_urlsafe(16)
    folder = Path(tempfile.mkdtemp(prefix="sdflow-postgresql-"))
    data, log, secret = folder / "data", folder / "log", folder / "password"
    try:
        secret.write_text(password)
        if root:
            account = pwd.getpwnam("postgres")
            for path in (folder, secret):
                os.chown(path, account.pw_uid, account.pw_gid)
        initdb = [programs / "initdb", "--pgdata", data, "--username", USER, "--pwfile", secret]
        rules = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
        _run([*initdb, *rules], owner)
        port = free_port()
        options = [
            "--listen_addresses=127.0.0.1",
            f"--port={port}",
            "--unix_socket_directories=",
            "--fsync=off",
        ]
        server = [programs / "postgres", "-D", data, *options]
        # INT is PostgreSQL's fast shutdown; TERM would wait for whoever is connected.
        with background(server, log, ending="INT", cwd=folder, **owner) as process:
            _wait(process, [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], log)
            yield f"postgresql+asyncpg://{USER}:{password}@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder)


def _run(command: list[str | Path], owner: dict[str, object]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", **owner)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr


def _wait(process: "subprocess.Popen[bytes]", ready: list[str | Path], log: Path) -> None:
    """Last guard: two minutes, and the server's own end."""
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if subprocess.run(ready, capture_output=True).returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError(f"PostgreSQL did not start: {log.read_text()[-3000:]}")
