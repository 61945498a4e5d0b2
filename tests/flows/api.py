"""A server of Prefect of the tests' own, and questions to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest


@contextmanager
def new_server(home: Path, **environment: str) -> Iterator[str]:
    """The API's address of a server with all of its services, whose PREFECT_HOME is a folder of the test.

    It is this process's server inside the block, whatever server that had; variables are for both.
    """
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    from flows.run.server import prefect_server

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**environment, "PREFECT_HOME": str(home)}.items():
            patch.setenv(name, value)
        patch.delenv("PREFECT_API_URL", raising=False)
        with (
            temporary_settings({PREFECT_HOME: home}, restore_defaults={PREFECT_API_URL}),
            prefect_server(services=True) as own,
        ):
            yield own.url


def ask(server: str, path: str, question: dict[str, Any]) -> Any:
    """The answer to a POST, signed in as commands are that know the server by their environment."""
    name, _, password = os.environ["PREFECT_API_AUTH_STRING"].partition(":")
    answer = httpx.post(f"{server}/{path}", json=question, auth=(name, password))
    answer.raise_for_status()
    return answer.json()
