"""Serving: the socket, the names under which it is asked, and uvicorn on it, in one process.

Pages are synchronous functions that threads run. Nothing is logged of requests: their addresses hold what
people look for, and once the access token.
"""

import errno
import logging
import socket
from collections.abc import Sequence
from ipaddress import ip_address

import psutil
import uvicorn
from fastapi import FastAPI

from dashboard.web.security import Access
from stages.foreign_text import escape_lines

PORT = 8321
"""Where the dashboard listens, unless that is taken."""
BACKLOG = 128
GRACE = 3
"""Seconds that requests in progress have to end in when the server stops."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address of this machine.

    Args:
        host: a name or an address; of a name, the first address that it has.
        port: 0 to 65535. Where another process has it, a free one is taken instead.

    Raises:
        ValueError: this machine has no such address, or may not listen there.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ValueError(f"--host {host!r} is no address of this machine: {error.strerror}") from error
    for free in (False, True):
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listener.bind((address[0], 0, *address[2:]) if free else address)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or free:
                raise ValueError(f"cannot listen on {host} port {port}: {error.strerror}") from error
        else:
            return listener
    raise AssertionError("unreachable")


def on_loopback(listener: socket.socket) -> bool:
    """Whether only processes of this machine reach it."""
    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def served_hosts(listener: socket.socket, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Host names under which the dashboard may be asked: this machine's own for that socket, and further
    ones, as of a proxy before it."""
    hosts = [*Access.hosts]
    if not on_loopback(listener):
        address = ip_address(listener.getsockname()[0].partition("%")[0])
        hosts += _own_addresses() if address.is_unspecified else [_literal(str(address))]
        hosts.append(socket.gethostname().lower())
    else:
        hosts.append(_literal(str(listener.getsockname()[0])))
    return tuple(dict.fromkeys([*hosts, *(name.strip().lower() for name in names)]))


def address_of(listener: socket.socket, name: str = "") -> str:
    """What people open: "http://127.0.0.1:8321/"."""
    host, port, *_ = listener.getsockname()
    if not name and ip_address(host.partition("%")[0]).is_unspecified:
        name = socket.gethostname().lower()
    return f"http://{name or _literal(host)}:{port}/"


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Answer until the process gets SIGINT (KeyboardInterrupt follows) or SIGTERM."""
    _log_harmlessly()
    config = uvicorn.Config(
        app,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=GRACE,
    )
    uvicorn.Server(config).run(sockets=[listener])


class HarmlessFormatter(logging.Formatter):
    """Log lines whose foreign text drives no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_lines(super().format(record))


def _log_harmlessly() -> None:
    log = logging.getLogger("uvicorn")
    log.propagate = False
    log.handlers.clear()
    handler = logging.StreamHandler()
    handler.setFormatter(HarmlessFormatter("dashboard: %(message)s"))
    log.addHandler(handler)


def _own_addresses() -> list[str]:
    """Every address of this machine, as browsers write it."""
    families = (socket.AF_INET, socket.AF_INET6)
    addresses = [
        entry.address
        for group in psutil.net_if_addrs().values()
        for entry in group
        if entry.family in families
    ]
    return [_literal(address.partition("%")[0]) for address in addresses]


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address
