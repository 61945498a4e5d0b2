"""Questions to the session's server of Prefect."""

import os
from typing import Any

import httpx


def ask(server: str, path: str, question: dict[str, Any]) -> Any:
    """The answer to a POST, signed in as commands are that know the server by their environment."""
    name, _, password = os.environ["PREFECT_API_AUTH_STRING"].partition(":")
    answer = httpx.post(f"{server}/{path}", json=question, auth=(name, password))
    answer.raise_for_status()
    return answer.json()
