"""URL normalisation: one spelling for URLs that mean the same, by RFC 3986, 6.2.2 and 6.2.3."""

import hashlib
import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote, unquote

import idna

from stages.reasons import Reason
from stages.redaction import without_credentials

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_URL = 4096
"""Characters of a normalised URL above which it is refused; servers take 8,000 at most, and few that."""
MAX_SPELLED = 4 * MAX_URL
"""Characters above which a URL is refused before a close look: needless escapes are three each."""
STORED_CHARACTERS = 2000
"""Of a refused URL that tables keep."""

_MAX_HOST = 253
_MAX_LABEL = 63

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/?#]*))?([^?#]*)(\?[^#]*)?")  # RFC 3986, appendix B
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", re.DOTALL)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH_ODD = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~!$&'()*+,;=:@/-]")
_QUERY_ODD = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]-]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What `normalise` would give back as it is, told at one look; dot segments are looked for apart.
_NORMAL = re.compile(
    rf"https?://(?=[^/]{{1,253}}/)(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?/"
    r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]++|%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|[46]0|5[B-E]|7[B-DF]))*+"
    r"(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?\[\]-]++|%[0-9A-Fa-f]{2})*+)?"
)


class UrlError(ValueError):
    """A URL that cannot be fetched."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """An error.

        Args:
            reason: EMPTY_URL, BAD_URL, URL_SCHEME, URL_CREDENTIALS or URL_TOO_LONG.
            detail: what is wrong with it, after "the URL"; holds nothing secret.
        """
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def normalise(url: str) -> str:
    """The normalised form of an http or https URL; what is fetched, and what the picture's uid is made of.

    What RFC 3986 calls equivalent becomes equal: scheme and host in lower case, the host in ASCII (IDNA 2008
    with the mapping of UTS 46) without a final dot, the default port and the fragment off, an empty path as
    "/", dot segments removed, escapes in upper case and none where none is needed. Characters that no URL may
    hold become escapes of their UTF-8, a "%" that begins no escape among them. The query is otherwise left
    alone: its escapes and order can be part of a signature.

    Raises:
        UrlError: no http or https URL with a valid host, or one with credentials, or too long a one. Hosts
            that are numbers in another form than 192.0.2.1 are none: they mean addresses to some and not to
            others.
    """
    if "/." not in url and len(url) <= MAX_URL and _NORMAL.fullmatch(url):
        return url
    url = url.strip()
    if not url:
        raise UrlError(Reason.EMPTY_URL, "is empty")
    length = len(url)
    url = url[:MAX_SPELLED]
    parts = _PARTS.match(url)
    if parts is None:
        raise UrlError(Reason.BAD_URL, "has no scheme")
    scheme, authority, path, query = parts[1].lower(), parts[2] or "", parts[3], parts[4] or ""
    if scheme not in DEFAULT_PORTS:
        # What stands before the colon of "name:word@host" is no scheme to be told.
        named = "another scheme" if "@" in url and parts[2] is None else f"scheme {scheme[:30]!r}"
        raise UrlError(Reason.URL_SCHEME, f"has {named}, not http or https")
    if "@" in authority:
        raise UrlError(Reason.URL_CREDENTIALS, "carries a user name or password")
    if length > MAX_SPELLED:
        raise UrlError(Reason.URL_TOO_LONG, f"has {length} characters, more than {MAX_URL}")
    if _CONTROL.search(url):
        raise UrlError(Reason.BAD_URL, "holds control characters")
    try:
        host = _authority(authority, DEFAULT_PORTS[scheme])
        path = _without_dots(_PATH_ODD.sub(_escaped, path))
        query = _QUERY_ODD.sub(_escaped, query)
    except UnicodeEncodeError:
        raise UrlError(Reason.BAD_URL, "holds half a surrogate pair") from None
    normal = f"{scheme}://{host}{path}{query}"
    if len(normal) > MAX_URL:
        raise UrlError(Reason.URL_TOO_LONG, f"has {len(normal)} characters, more than {MAX_URL}")
    return normal


def host_of(url: str) -> str:
    """Host of a normalised URL, without its port; of an IPv6 address without its brackets."""
    match = _AUTHORITY.fullmatch(url.split("/", 3)[2])
    assert match is not None, url
    return match[1].strip("[]")


def redacted(text: str) -> str:
    """What tables may keep of a refused URL: no user name or password, and at most STORED_CHARACTERS.

    A longer one ends in the beginning of its SHA-256, so that different ones stay different.
    """
    text = without_credentials(text.encode("utf-8", "replace").decode())
    if len(text) <= STORED_CHARACTERS:
        return text
    return f"{text[: STORED_CHARACTERS - 18]}… {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _authority(text: str, default_port: int) -> str:
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise UrlError(Reason.BAD_URL, "has a malformed host")
    host, port = _host(match[1]), match[2] or ""
    if not port:
        return host
    if not (port.isascii() and port.isdigit()) or len(port.lstrip("0")) > 5 or not 0 < int(port) < 65536:
        raise UrlError(Reason.BAD_URL, "has a malformed port")
    return host if int(port) == default_port else f"{host}:{int(port)}"


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            if "%" in text:
                raise UrlError(Reason.BAD_URL, "has an IPv6 address with a zone")
            return f"[{IPv6Address(text[1:-1]).compressed}]"
        except AddressValueError:
            raise UrlError(Reason.BAD_URL, f"has host {text[:100]!r}, no IPv6 address") from None
    if len(text) > 12 * _MAX_HOST:  # each character four bytes, each byte an escape
        raise UrlError(Reason.BAD_URL, f"has host {text[:100]!r}, no domain name")
    name = (text.lower() if text.isascii() and "%" not in text else _ascii(text)).removesuffix(".")
    if not name:
        raise UrlError(Reason.BAD_URL, "has no host")
    if len(name) > _MAX_HOST or not _HOST.fullmatch(name):
        raise UrlError(Reason.BAD_URL, f"has host {text[:100]!r}, no domain name")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise UrlError(Reason.BAD_URL, f"has host {text[:100]!r}, no plain IPv4 address") from None
    return name


def _ascii(name: str) -> str:
    """A host with other characters in ASCII: mapped as browsers do, then encoded label by label."""
    try:
        labels = idna.uts46_remap(unquote(name, errors="strict"), std3_rules=False).split(".")
        # Each character takes one or more in ASCII; idna looks at all others for some of them.
        if max(map(len, labels)) > _MAX_LABEL:
            raise idna.IDNAError("a label is too long")
        return ".".join(label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels)
    except (idna.IDNAError, UnicodeError):
        raise UrlError(Reason.BAD_URL, f"has host {redacted(name[:100])!r}, no domain name") from None


def _escaped(match: re.Match[str]) -> str:
    text = match[0]
    if len(text) == 1:
        return quote(text, safe="")
    character = chr(int(text[1:], 16))
    return character if character in _UNRESERVED else text.upper()


def _without_dots(path: str) -> str:
    """The path with "." and ".." carried out (RFC 3986, 5.2.4); begins with "/"."""
    if "/." not in path:
        return path or "/"
    resolved: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del resolved[-1:]
        elif segment != ".":
            resolved.append(segment)
    ending = "/" if segments[-1] in (".", "..") and resolved else ""
    return f"/{'/'.join(resolved)}{ending}"
