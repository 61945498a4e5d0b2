"""One spelling for URLs that mean the same: what RFC 3986, section 6, allows and no server can mind."""

import re
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import quote, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_KEPT = "!#$%&'()*+,/:;=?@[]~"  # reserved characters, and % so that escapes stay as they were written


def normalise(url: str) -> str:
    """The normalised form of an http or https URL; what is fetched, and what the picture's uid is made of.

    Scheme and host in lower case, the host in ASCII (IDNA), the default port and the fragment off, an empty
    path as "/", characters that no URL may hold percent-encoded as UTF-8. Escapes, dot segments and the
    query's order are left alone: servers differ there, and signatures break.

    Raises:
        ValueError: no http or https URL with a valid host; the message says what is wrong with it.
    """
    url = url.strip()
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in url):
        raise ValueError("holds control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is malformed: {error}") from None
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise ValueError(f"has scheme {scheme!r}, not http or https" if scheme else "has no scheme")
    if parts.username is not None or parts.password is not None:
        raise ValueError("carries a user name or password")
    host = _host(parts.hostname or "")
    if port is not None and port != DEFAULT_PORTS[scheme]:
        host = f"{host}:{port}"
    path = quote(parts.path, safe=_KEPT) or "/"
    query = f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
    return f"{scheme}://{host}{path}{query}"


def _host(name: str) -> str:
    if ":" in name:
        try:
            return f"[{IPv6Address(name).compressed}]"
        except AddressValueError:
            raise ValueError(f"has host {name!r}, no IPv6 address") from None
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(f"has host {name!r}, no domain name") from None
    name = name.lower()
    if len(name) > 253 or not _HOST.fullmatch(name):
        raise ValueError(f"has host {name!r}, no domain name" if name else "has no host")
    return name
