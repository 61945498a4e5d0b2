"""Asking the application from within: what a browser would get at a path, without a connection."""

import asyncio
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from fastapi import Request
from starlette.types import Message, Scope

FROM_THE_ASKER = (b"host", b"cookie")
"""Headers that are passed on, so that whoever may not see a page does not get it in an export either."""


@dataclass(frozen=True)
class PageResponse:
    """What came."""

    status: int
    content_type: str
    """Without parameters."""
    body: bytes


async def ask(request: Request, path: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> PageResponse:
    """GET a path of the application that a request came to, on behalf of who sent that.

    Args:
        request: whose application, host and cookies are meant.
        path: from the root, with its query.
        headers: further ones, names in lower case.
    """
    parts = urlsplit(path)
    passed_on = [(name, value) for name, value in request.scope["headers"] if name in FROM_THE_ASKER]
    scope: Scope = {
        "type": "http",
        "asgi": request.scope.get("asgi", {"version": "3.0"}),
        "http_version": "1.1",
        "method": "GET",
        "scheme": request.scope["scheme"],
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [*passed_on, *headers],
        "client": request.scope.get("client"),
        "server": request.scope.get("server"),
        "state": {},
    }
    status, content_type, body = 0, "", bytearray()

    requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if requests:
            return requests.pop()
        await asyncio.Event().wait()  # nobody hangs up; whoever waits for that is cancelled in the end
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, content_type
        if message["type"] == "http.response.start":
            status = message["status"]
            types = [value for name, value in message["headers"] if name.lower() == b"content-type"]
            content_type = types[0].decode("latin-1").partition(";")[0].strip() if types else ""
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))

    await request.app(scope, receive, send)
    return PageResponse(status, content_type, bytes(body))
