"""Redaction of secrets in URLs: credentials before a host, and queries, stay out of errors, logs, manifests.

A query can hold a signature (`?sig=`, `X-Amz-Signature`), a token or nothing secret at all; since nobody can
tell by its names, all of it goes: "https://user:word@host/t.parquet?sv=1&sig=abc" becomes
"https://…@host/t.parquet?…". Every function here takes time in proportion to its text.

Rows of tables keep the URLs of their pictures: those are data.
"""

import re
from collections.abc import Iterator

from stages.foreign_text import escape_lines

_URL = re.compile(r"(?<=://)[^\s<>]+")
_AUTHORITY_END = re.compile(r"[/?#]|$")
_NAME = re.compile(r"[^/?#:[\]]*:(?![0-9]*(?:[/?#]|$))")
"""What looks like a name before a password, and not like a host before its port."""
_QUERY = re.compile(r"[?#]")
_GLOBBED = (
    *("s3://", "s3a://", "gs://", "gcs://", "az://", "abfs://", "adl://", "hf://"),
    *("file://", "local://", "memory://", "zip://", "tar://", "cache://"),
)
"""Where "?" is a wildcard of a pattern of paths, unless options follow."""
_CLOSING = "\"'`)]},.;:!"


def redact(text: str) -> str:
    """A text in which every URL is without user name, password, query and fragment."""
    if "://" not in text:
        return text
    return _URL.sub(lambda url: _redacted(text[max(0, url.start() - 16) : url.start()], url[0]), text)


def redact_url(url: str) -> str:
    """A URL without user name, password, query and fragment; a path or any other text as it is."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{_redacted(scheme + separator, rest, closing='')}" if separator else url


def redact_error(error: BaseException) -> None:
    """Redact an error's words in place, and those of the errors behind it, which tracebacks and logs show.

    They become harmless to print as well, see `foreign_text.escape_lines`: many hold strangers' words.

    An error whose words are not its arguments' (some libraries make them anew each time) is cut off from the
    errors that it caused.
    """
    for exception in _chain(error):
        exception.args = tuple(_harmless(part) if isinstance(part, str) else part for part in exception.args)
        if isinstance(exception, OSError):
            for name in ("filename", "filename2", "strerror"):
                value = getattr(exception, name)
                if isinstance(value, str):
                    setattr(exception, name, _harmless(value))
        if hasattr(exception, "__notes__"):
            exception.__notes__ = [_harmless(note) for note in exception.__notes__]
    for exception in _chain(error):
        if exception.__cause__ is not None and _leaks(exception.__cause__):
            exception.__cause__ = None
        if exception.__context__ is not None and _leaks(exception.__context__):
            exception.__context__ = None


def without_credentials(text: str) -> str:
    """A text whose beginning, and whatever follows "//", has "…@" for what stands before an "@".

    Where a password holds "/", "?" or "#", all up to the last "@" goes: rather too much than too little.
    """
    last = text.rfind("@")
    if last < 0:
        return text
    at = text.rfind("@", 0, _authority_end(text, 0))
    pieces, done = (["…@"], at + 1) if at >= 0 else ([], 0)
    start = text.find("//", done) + 2
    while 2 <= start <= last:
        at = text.rfind("@", start, _authority_end(text, start))
        name = None if at >= 0 else _NAME.match(text, start)
        if name is not None and name.end() <= last:
            at = last
        if at >= 0:
            pieces += [text[done:start], "…@"]
            done = at + 1
        # The next two slashes can share one with these.
        start = text.find("//", max(done, start - 1)) + 2
    return "".join([*pieces, text[done:]])


def _redacted(before: str, rest: str, closing: str = _CLOSING) -> str:
    """What follows "://" without its secrets.

    Args:
        before: the end of what stands before it, with the scheme.
        rest: up to where the URL ends, about.
        closing: characters at the end that are not the URL's but the text's around it.
    """
    body = rest.rstrip(closing)
    after = rest[len(body) :]
    body = without_credentials(f"//{body}")[2:]
    query = _QUERY.search(body)
    if query is not None:
        path, words = body[: query.start()], body[query.start() :]
        if not before.lower().endswith(_GLOBBED) or "http" in path or "=" in words or query[0] == "#":
            body = f"{path}?…"
    return body + after


def _authority_end(text: str, start: int) -> int:
    match = _AUTHORITY_END.search(text, start)
    return match.start() if match is not None else len(text)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that stand behind it, each once."""
    waiting, seen = [error], set[int]()
    while waiting:
        exception = waiting.pop()
        if id(exception) not in seen:
            seen.add(id(exception))
            yield exception
            waiting += [other for other in (exception.__cause__, exception.__context__) if other is not None]
            if isinstance(exception, BaseExceptionGroup):
                waiting += list(exception.exceptions)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]


def _leaks(error: BaseException) -> bool:
    words = str(error)
    return _harmless(words) != words


def _harmless(words: str) -> str:
    return escape_lines(redact(words))
