"""Whether the user's Prefect server answers and lets us in, asked before anything is done there."""

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL

from stages.redaction import redact_url


def check_server() -> None:
    """Ask the server of PREFECT_API_URL for its version, with PREFECT_API_AUTH_STRING where that is set.

    Raises:
        ValueError: no server is named, or it refuses the password or its absence.
        ConnectionError: nothing answers there.
    """
    if not PREFECT_API_URL.value():
        raise ValueError(
            "PREFECT_API_URL is not set; start a server (`prefect server start`) and "
            "export PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    url = redact_url(PREFECT_API_URL.value())
    try:
        with get_client(sync_client=True) as client:
            client.api_version()
    except httpx.HTTPStatusError as error:
        if error.response.status_code not in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise
        refused = (
            "refuses that of PREFECT_API_AUTH_STRING" if PREFECT_API_AUTH_STRING.value() else "gets none"
        )
        raise ValueError(
            f"Prefect's server at {url} asks for a password and {refused}; "
            "set PREFECT_API_AUTH_STRING to what the server has as PREFECT_SERVER_API_AUTH_STRING"
        ) from None
    except httpx.TransportError as error:
        raise ConnectionError(
            f"no Prefect server answers at {url} ({type(error).__name__}); "
            "start it (`prefect server start`), or set PREFECT_API_URL to where it is"
        ) from error
