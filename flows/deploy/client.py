"""A client of the Prefect server that PREFECT_API_URL names, and what it refuses, in words."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError

from flows.run.access import check_server
from stages.foreign_text import escape

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


class ServerRefusedError(Exception):
    """A Prefect server refuses what it was asked for; the message has its words."""


@contextmanager
def prefect_client() -> "Generator[SyncPrefectClient]":
    """A client of the user's server.

    Raises:
        ValueError, ConnectionError: no server is named, it is away, or it does not let us in.
        ServerRefusedError: it refuses what the block asks for.
    """
    check_server()
    try:
        with get_client(sync_client=True) as client:
            yield client
    except PrefectHTTPStatusError as error:
        words = escape(error.response.text, 500)
        raise ServerRefusedError(
            f"Prefect's server refuses ({error.response.status_code}): {words}"
        ) from error


def check_pools(client: "SyncPrefectClient", names: Iterable[str]) -> None:
    """ValueError unless work pools of these names exist."""
    there = sorted(pool.name for pool in client.read_work_pools())
    for name in dict.fromkeys(names):
        if name not in there:
            listed = ", ".join(there) or "none"
            raise ValueError(
                f"there is no work pool {name!r} (there are: {listed}); `sdflow setup` makes data and gpu, "
                "and --pool gpu=NAME takes another"
            )
