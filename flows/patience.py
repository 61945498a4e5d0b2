"""How long a request to Prefect's server is repeated while the server is away.

States, events and reports are offered for minutes (`flows/run/lost_runs.py`), since they must arrive. What is
said while a stage works, and what is asked, is not: the stage would wait, and the answer would be old.
"""

from collections.abc import Generator
from contextlib import contextmanager

from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings


@contextmanager
def tried_once() -> Generator[None]:
    """Requests to Prefect's server inside the block fail at once where it does not answer."""
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield
