"""A page as a single file: what a page of ours needs from elsewhere is put into it, and all that asks for
more goes.

Scripts, forms and whatever loads things are left out; images become data: URLs; links lead to an address that
is known, or are words. The policy in the file lets it load nothing, whatever it holds.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser

LEFT_OUT = frozenset(
    {
        "script",
        "form",
        "iframe",
        "object",
        "audio",
        "video",
        "noscript",
        "style",
        "header",
        "footer",
        "template",
    }
)
"""Elements that go with all that is in them."""
VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
DROPPED = frozenset({"base", "embed", "link", "meta", "source", "track"})
"""Elements without content that go."""
ADDRESSES = frozenset(
    {
        "src",
        "href",
        "xlink:href",
        "srcset",
        "action",
        "formaction",
        "poster",
        "data",
        "background",
        "ping",
        "style",
    }
)
"""Attributes that load or lead; each stays only where this module says so."""

Attributes = Sequence[tuple[str, str | None]]


@dataclass(frozen=True)
class Supplies:
    """What is put in."""

    css: str = ""
    fragments: Mapping[str, str] = field(default_factory=dict[str, str])
    """By path, HTML of what htmx would load at once."""
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    """By path, data: URLs."""
    base_url: str = ""
    """Where other pages are, without a slash at the end; "": links are words."""
    note: str = ""
    """Plain text for the end of the page."""


class SingleFile(HTMLParser):
    """Writes a page anew; `needed_*` say what it would load."""

    def __init__(self, supplies: Supplies) -> None:
        super().__init__(convert_charrefs=False)
        self.needed_fragments: list[str] = []
        self.needed_images: list[str] = []
        self._supplies = supplies
        self._written: list[str] = []
        self._skipped: list[str] = []  # open elements that are left out, the outermost first

    @classmethod
    def of(cls, text: str, supplies: Supplies) -> "SingleFile":
        """A page that was written with these supplies."""
        page = cls(supplies)
        page.feed(text)
        page.close()
        return page

    @property
    def text(self) -> str:
        """The page."""
        return "".join(self._written)

    def handle_decl(self, decl: str) -> None:
        self._write(f"<!{decl}>")

    def handle_data(self, data: str) -> None:
        self._write(data)

    def handle_entityref(self, name: str) -> None:
        self._write(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._write(f"&#{name};")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, closed=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, closed=False)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag == self._skipped[-1]:
                self._skipped.pop()
            return
        if tag == "body" and self._supplies.note:
            self._write(f'<footer class="about">{escape(self._supplies.note)}</footer>\n')
        self._write(f"</{tag}>")

    def _start(self, tag: str, attrs: Attributes, *, closed: bool) -> None:
        if self._skipped:
            if tag == self._skipped[-1] and tag not in VOID and not closed:
                self._skipped.append(tag)
            return
        values = {name: value or "" for name, value in attrs}
        if tag in LEFT_OUT:
            if not closed:
                self._skipped.append(tag)
        elif tag in ("img", "image"):
            self._image(tag, attrs, values.get("src") or values.get("href", ""), closed)
        elif tag not in DROPPED:
            self._write(self._tag(tag, attrs, closed))
            if tag == "head":
                self._write(_head(self._supplies.css))
            if "load" in values.get("hx-trigger", "") and values.get("hx-get") and not closed:
                self._fragment(tag, values["hx-get"])

    def _image(self, tag: str, attrs: Attributes, address: str, closed: bool) -> None:
        words = dict(attrs).get("alt") or "picture"
        if address.startswith("/") and not address.startswith("//"):
            self.needed_images.append(address)
            address = self._supplies.images.get(address, "")
        if not address.startswith("data:image/"):
            if tag == "img":
                self._write(f'<span class="no-picture">{escape(words)} (not in this file)</span>')
            return
        name = "src" if tag == "img" else "href"
        self._write(self._tag(tag, [*attrs, (f"={name}", address)], closed))

    def _fragment(self, tag: str, path: str) -> None:
        """What htmx would put into an element takes the place of what is in it."""
        self.needed_fragments.append(path)
        fragment = self._supplies.fragments.get(path)
        if fragment is not None:
            inner = SingleFile.of(fragment, self._supplies)
            self.needed_images += inner.needed_images
            self._write(f"{inner.text}</{tag}>")
            self._skipped.append(tag)

    def _tag(self, tag: str, attrs: Attributes, closed: bool) -> str:
        written: list[str] = []
        for name, value in attrs:
            if name.startswith(("hx-", "on", "data-hx-")):
                continue
            if name in ADDRESSES:
                value = (
                    self._link(value or "") if name in ("href", "xlink:href") and tag in ("a", "use") else ""
                )
                if not value:
                    continue
            written.append(f" {name.lstrip('=')}" + ("" if value is None else f'="{escape(value)}"'))
        return f"<{tag}{''.join(written)}{'/' if closed else ''}>"

    def _link(self, address: str) -> str:
        if address.startswith("#"):
            return address
        own = address.startswith("/") and not address.startswith("//")
        return self._supplies.base_url + address if own and self._supplies.base_url else ""

    def _write(self, text: str) -> None:
        if not self._skipped:
            self._written.append(text)


def data_url(content_type: str, data: bytes) -> str:
    """Bytes as an address."""
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


def _head(css: str) -> str:
    """What stands first in the file: nothing may be loaded, and this style alone applies."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return (
        f'\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{css}</style>"
    )
