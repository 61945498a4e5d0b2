"""`sdflow dashboard`: web pages over a store, served by this process."""

import sys
import webbrowser
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, StoreOption, open_to_read, open_to_write
from flows.cli.store.listing import print_lines

if TYPE_CHECKING:
    from stages.store import Store

_option = partial(Parameter, negative="", show_default=False)


def dashboard(
    *,
    host: Annotated[
        str, Parameter(help="Address to listen on; anything but the loopback asks for a token.")
    ] = ("127.0.0.1"),
    port: Annotated[int, Parameter(help="Port; a free one where that is taken.")] = 8321,
    open: Annotated[bool, _option(help="Open the browser.")] = False,
    token: Annotated[
        str,
        _option(
            env_var="SDFLOW_DASHBOARD_TOKEN",
            help="What everybody must bring; drawn where none is given and others than this machine can ask. "
            "Better in the environment than here, where other users see it.",
        ),
    ] = "",
    name: Annotated[
        tuple[str, ...],
        _option(help="A further host name under which it is asked, as of a proxy; may be given again."),
    ] = (),
    base_url: Annotated[
        str,
        _option(
            env_var="SDFLOW_DASHBOARD_URL",
            help="Where others find these pages, https://...; exported pages link there, and so does what "
            "Prefect shows of runs that have it in their environment.",
        ),
    ] = "",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Serve web pages on which every image and every model of a store answers for itself.

    They show what the store holds, how it was made, what was left out and why, one image at every stage, one
    model with its data. They write take-down requests and results of verification, nothing else; where the
    store cannot be written, nothing at all. Ctrl-C stops it.

    It listens on this machine alone. Elsewhere it asks for a token, and speaks HTTP without TLS: put a proxy
    before it, or reach it by `ssh -L 8321:127.0.0.1:8321 HOST`.

    **Examples**

    ```
    sdflow dashboard --open
    sdflow dashboard --store s3://bucket/results --port 9000
    SDFLOW_DASHBOARD_TOKEN=... sdflow dashboard --host 0.0.0.0 --name pictures.example.org
    ```
    """
    import secrets

    from dashboard.app import create_app
    from dashboard.links import checked_base_url
    from dashboard.pictures.reader import begin_indexing
    from dashboard.web.security import Access
    from dashboard.web.server import address_of, listen, on_loopback, serve, served_hosts

    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port} is none; ports are 0 to 65535")
    if token and (len(token) < 16 or not token.isascii() or not token.isalnum()):
        raise ValueError(
            "the dashboard's token must have at least 16 letters and digits; leave it out to get one"
        )
    base_url = checked_base_url(base_url, "--base-url")
    opened, readable = _opened(store)
    listener = listen(host, port)
    drawn = "" if token or on_loopback(listener) else secrets.token_hex(16)
    access = Access(hosts=served_hosts(listener, name), token=token or drawn)
    address = address_of(listener)
    if port not in (0, listener.getsockname()[1]):
        print_lines([f"port {port} is taken"])
    print_lines([f"{opened.url}{readable} is shown at {address}{f'?token={drawn}' if drawn else ''}"])
    if token:
        print_lines(["who opens it first brings your token: ?token=…"])
    if not on_loopback(listener):
        print_lines(["others can reach it, and it speaks HTTP without TLS: see `sdflow dashboard --help`"])
    print_lines(["Ctrl-C stops it"])
    sys.stdout.flush()
    if open and access.token:
        print_lines(["not opened: a token in a browser's command line can be read by others"])
    elif open:
        webbrowser.open(address)
    try:
        app = create_app(opened, access, base_url)
        begin_indexing(app)
        serve(app, listener)
    except KeyboardInterrupt:
        print_lines(["stopped"])


def _opened(url: str) -> "tuple[Store, str]":
    """The store, to write where that can be; and a word that says where it cannot."""
    reading = open_to_read(url)
    try:
        return open_to_write(url), ""
    except ValueError:
        return reading, " (read-only)"
