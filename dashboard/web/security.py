"""Who may ask, and what a page may do.

A page on this machine can be asked by every other page that a browser has open, by name (DNS rebinding) or
by a form that sends there (CSRF). So `Host` must be one that is served, `Origin` of whatever writes must be
our own, a form carries a token of this process, and a browser is told to load nothing from elsewhere and to
run no script but ours. Where the dashboard is bound to another address than loopback, everybody has to bring
the access token.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "sdflow_dashboard"
TOKEN = "token"
"""Key of a query that brings the access token once; a cookie keeps it."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # "no-referrer" would take the Origin from our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may ask."""

    hosts: Sequence[str] = ("127.0.0.1", "localhost", "[::1]")
    """Host names, without port, under which the dashboard is asked."""
    token: str = ""
    """That everybody must bring; empty: nobody needs one, on loopback alone."""
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    """Of this process, for the tokens of forms."""

    @property
    def form_token(self) -> str:
        """What a form must bring, so that no other page can send it (CSRF)."""
        return hmac.new(self.secret, b"form", "sha256").hexdigest()

    def accepts_form(self, token: str) -> bool:
        """Whether a form's token is ours."""
        return hmac.compare_digest(token.encode(), self.form_token.encode())

    def knows(self, token: str) -> bool:
        """Whether it is the access token."""
        return hmac.compare_digest(token.encode(), self.token.encode())


class Guard:
    """ASGI middleware that refuses whoever may not ask, and says what a page may do."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # there are no websockets

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name(host) not in self.access.hosts:
            return PlainTextResponse("this host name is not served; see `sdflow dashboard --help`", 421)
        if scope["method"] not in SAFE:
            origin = headers.get("origin") or headers.get("referer") or ""
            if urlsplit(origin).netloc != host:
                return PlainTextResponse("this form was sent by another page, and nothing was changed", 403)
        return self._without_token(scope, headers) if self.access.token else None

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """What whoever brings no access token gets; who brings it in the query gets a cookie instead."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if self.access.knows(query.pop(TOKEN, [""])[0]):
            rest = urlencode(query, doseq=True)
            response = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), 303)
            response.set_cookie(COOKIE, self.access.token, httponly=True, samesite="strict")
            return response
        if self.access.knows(_cookie(headers)):
            return None
        return PlainTextResponse("open the address with ?token=… that `sdflow dashboard` printed", 401)


def _name(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
