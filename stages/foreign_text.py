r"""Foreign text for people: captions, URLs, headers, file names, strangers' messages, escaped (sanitised) to
show.

Whatever a stranger wrote can drive the place where it is shown: a terminal obeys escape codes, a Markdown
page fetches its images, HTML runs scripts, bidirectional marks make a line read otherwise than it stands
(CVE-2021-42574, "Trojan Source"), and half a megabyte hides everything around it. So it is printed through
these functions alone, one for each kind of place:

* `escape`: terminals, logs, messages of errors, comments of YAML, titles of charts; the others begin with it.
* `escape_lines`: the same for several lines that are partly ours, at the last gate before a screen.
* `escape_markdown`, `escape_html`: pages. Notebooks show HTML.

Data stay what they are: tables, JSON and YAML values hold the text itself, escaped by their own rules.
"""

import html
import re

SHOWN = 300
"""Characters of a piece of foreign text that are shown, unless a place says otherwise."""

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Printable by Unicode's categories, and yet invisible (Default_Ignorable_Code_Point): fillers, selectors of
# variants. The two selectors of text and emoji (U+FE0E, U+FE0F) stay, as they follow many a heart.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
# An underscore between letters or digits means nothing, and stands in many a name.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|&~$@]|(?<![^\W_])_|_(?![^\W_])")
# Renderers make links of bare addresses (GitHub's extended autolinks, markdown-it's linkify).
_ADDRESS = re.compile(r":?/{2,}[^\s/]{0,255}|www\.", re.IGNORECASE)
# What means something at the beginning of a line alone: headings, lists, rules, quotations.
_LINE_START = re.compile(r"=|#{1,6}(?=\s|$)|[+:-](?=[\s-]|$)|[0-9]{1,9}(?=[.)](?:\s|$))")


def escape(text: object, limit: int = SHOWN) -> str:
    r"""Foreign text on one line, without anything that a terminal obeys or that cannot be seen.

    Control characters (C0, C1, DEL, so ESC), line ends, bidirectional controls, zero-width and tag
    characters, lone surrogates, private and unassigned code points become "\n", "\x1b", "\u202e",
    "\U000e0041"; blanks of other widths become blanks. Backslashes stay single, so that text escaped twice is
    the same as once.

    Args:
        text: anything; `str` of it is shown.
        limit: greatest length of what comes back, at least 40. What is longer ends in "… (1,234 more)",
            counted in characters of the text.
    """
    assert limit >= 40, limit
    whole = str(text)
    head = whole[:limit]  # every character becomes one or more
    shown = _visible(head)
    if len(whole) <= limit and len(shown) <= limit:
        return shown
    room = limit - len(f"… ({len(whole):,} more)")
    end, size = 0, 0
    for character in head:
        size += len(_visible(character))
        if size > room:
            break
        end += 1
    return f"{_visible(head[:end])}… ({len(whole) - end:,} more)"


def escape_lines(text: object, limit: int = 1_000_000) -> str:
    """Text of several lines, each as `escape` would show it, without cutting any line alone.

    Args:
        text: anything, with "\n" between its lines.
        limit: greatest number of characters of the text that are shown.
    """
    whole = str(text)
    shown = "\n".join(map(_visible, whole[:limit].split("\n")))
    return shown if len(whole) <= limit else f"{shown}… ({len(whole) - limit:,} more)"


def escape_markdown(text: object, limit: int = SHOWN) -> str:
    """Foreign text for a line, a list item or a table's cell of a Markdown page: shown, and nothing else.

    Whatever begins an image, link, HTML, entity, code, emphasis, strike-through, formula, cell, heading, list
    or quotation (CommonMark 0.31 and GitHub's extensions) is escaped by a backslash, and so are bare
    addresses, of which renderers make links. A host's name alone ("example.org") stays as it is.

    Args:
        text: anything; `str` of it is shown.
        limit: as of `escape`, before the backslashes, which can double it.
    """
    shown = _MARKDOWN.sub(r"\\\g<0>", escape(text, limit).strip())
    shown = _ADDRESS.sub(_unlinked, shown)
    return _LINE_START.sub(_started, shown, count=1) if _LINE_START.match(shown) else shown


def escape_html(text: object, limit: int = SHOWN) -> str:
    """Foreign text for HTML, between tags or as a quoted attribute's value.

    Args:
        text: anything; `str` of it is shown.
        limit: as of `escape`, before the entities, which can make it six times as long.
    """
    return html.escape(escape(text, limit), quote=True)


def _visible(text: str) -> str:
    if text.isprintable() and not _INVISIBLE.search(text):
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() and not _INVISIBLE.match(character):
        return character
    if character.isspace() and character not in "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return " "
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _unlinked(address: re.Match[str]) -> str:
    # Escapes that stand there already keep their one backslash.
    return re.sub(r"(?<!\\)[:/.]", r"\\\g<0>", address[0])


def _started(mark: re.Match[str]) -> str:
    return f"{mark[0]}\\" if mark[0][0].isdigit() else f"\\{mark[0]}"
