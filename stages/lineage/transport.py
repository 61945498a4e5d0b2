"""The way of events out of the process: the OpenLineage client, with what its configuration may not do.

Imported by the thread that sends, and only once there is something to send.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent
from openlineage.client.transport import Transport, TransportFactory, get_default_factory
from openlineage.client.transport.file import FileConfig, FileTransport

from stages.lineage.settings import events_file

TRANSPORTS = ("http", "async_http", "file", "composite", "console", "noop")
"""What a configuration may choose."""
AUTHENTICATIONS = ("api_key", "jwt", "oauth2")


class Sender(Protocol):
    """Where events go."""

    def emit(self, event: RunEvent) -> Any:
        """Send one; raises whatever goes wrong."""
        ...

    def close(self, timeout: float = ...) -> bool:
        """Send what the transport has queued itself, within so many seconds."""
        ...


class ListedTransports(TransportFactory):
    """Makes a transport of the client's own by its configuration, and runs no code that this names.

    The client takes the name of any class for a type; ours says no, as of every config of this project.
    """

    def create(self, config: dict[str, Any] | None = None) -> Transport:
        """The transport that a configuration describes. ValueError: it is none of those listed."""
        check_transport(config or {})
        return get_default_factory().create(config)


def open_sender(warn: Callable[[str], None]) -> Sender:
    """Where events go by this environment, see `stages.lineage.settings`.

    Args:
        warn: hears of what transports only log.

    Raises:
        ValueError: the configuration cannot work.
    """
    if not os.environ.get("OPENLINEAGE_CLIENT_LOGGING"):  # then its user wants to hear it all
        _quieten(warn)
    if path := events_file():
        return _file_transport(path)
    client = OpenLineageClient(factory=ListedTransports())
    if client.transport.kind == "console" and not os.environ.get("OPENLINEAGE_CLIENT_LOGGING"):
        raise ValueError(
            "its configuration names no transport that shows anything here; set OPENLINEAGE_URL, a transport "
            "in the file of OPENLINEAGE_CONFIG, or SDFLOW_OPENLINEAGE to a file"
        )
    return client


def check_transport(config: Mapping[str, Any]) -> None:
    """Refuse a transport's configuration that names code. ValueError says which name, and what is allowed."""
    kind = config.get("type")
    if kind not in TRANSPORTS:
        raise ValueError(f"transport type {kind!r} is none of {', '.join(TRANSPORTS)}")
    if config.get("filesystem"):
        raise ValueError(
            "a file transport's `filesystem` names code; leave it out, log_file_path can be a URL"
        )
    authentication = config.get("auth")
    if isinstance(authentication, Mapping):
        name: object = authentication.get("type", AUTHENTICATIONS[0])
        if name not in AUTHENTICATIONS:
            raise ValueError(f"auth type {name!r} is none of {', '.join(AUTHENTICATIONS)}")
    below: Any = config.get("transports", ())
    for each in below.values() if isinstance(below, Mapping) else below:
        check_transport(each)


def _file_transport(path: str) -> FileTransport:
    file = Path(path).expanduser()
    if "://" in path or file.is_dir():
        raise ValueError(f"SDFLOW_OPENLINEAGE is {path!r}; give the path of a local file, as lineage.jsonl")
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileTransport(FileConfig(log_file_path=str(file), append=True))


class _Warning(logging.Handler):
    """Makes of all that transports log the one warning of the process, without their words, which quote
    addresses."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        self._warn(f"{record.name} logged a failure (OPENLINEAGE_CLIENT_LOGGING=INFO shows it)")


def _quieten(warn: Callable[[str], None]) -> None:
    """Keep the client's own words off the terminal: its parent logger shows values of variables that it could
    not read, urllib3 each of its retries."""
    client, transports = logging.getLogger("openlineage"), logging.getLogger("openlineage.client.transport")
    client.propagate = False
    client.addHandler(logging.NullHandler())
    transports.addHandler(_Warning(warn))
    sending = threading.get_ident()
    logging.getLogger("urllib3.connectionpool").addFilter(lambda record: record.thread != sending)
