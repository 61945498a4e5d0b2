"""What a browser says of a page: who can use it, at which width, in which colours, by which keys."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dashboard.browser.visitor import Visitor

AXE = Path(__file__).with_name("axe.min.js").read_text()
WIDE = {"width": 1100, "height": 900}
PHONE = {"width": 375, "height": 740}
CHANGING = r"last brought up to date in [\d.]+ s"
ALL_RULES: dict[str, Any] = {"resultTypes": ["violations"]}
OF_COLOURS = {**ALL_RULES, "runOnly": ["color-contrast", "link-in-text-block"]}
OF_WIDTH = {**ALL_RULES, "runOnly": ["scrollable-region-focusable", "meta-viewport", "css-orientation-lock"]}
"""Rules of axe-core whose answer hangs on how wide a window is."""
MAIN = """() => {
    const main = document.querySelector('main').cloneNode(true);
    const parts = [...main.querySelectorAll('[hx-trigger*=load]')].map(part => {
        const words = part.textContent;
        part.remove();
        return [part.getAttribute('hx-get'), words];
    });
    return [main.textContent, parts];
}"""
"""Words of a page: its own, and of each part that loads by itself."""
WHOLE = """() => {
    const main = document.querySelector('main').cloneNode(true);
    main.querySelectorAll('form').forEach(form => form.remove());
    return main.textContent;
}"""
"""Words of a page and of all its parts, without forms."""
UNREACHED = """() => [...document.querySelectorAll('a[href],button,input,select,textarea,summary')].filter(
    each => {
        if (each.type === 'hidden' || !each.checkVisibility()) return false;
        each.focus();
        return each.tabIndex < 0 || document.activeElement !== each;
    }
).filter(each => !(each.tabIndex < 0 && each.href && [...document.querySelectorAll('a[href]')].some(
    other => other.tabIndex >= 0 && other.href === each.href))
).map(each => each.outerHTML.slice(0, 200))"""
"""Controls that the Tab key passes over; a bar's link stands beside the same one in words."""
OVERFLOW = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll('body *')].filter(
        each => each.getBoundingClientRect().right > innerWidth && !each.closest('.wide *, pre *, svg *')
    ).map(each => each.outerHTML.slice(0, 160))"""
"""What makes a page wider than the window."""


@dataclass(frozen=True)
class PageSurvey:
    """Of one page."""

    faults: dict[str, list[str]]
    """By the look ("wide", "dark", "phone"), what axe-core calls serious or critical."""
    overflow: list[str]
    """Elements that stick out of a phone's window."""
    unreached: list[str]
    """Controls that the keyboard does not reach."""
    headings: int
    """First headings."""
    nodes: int
    words: str
    """Of its main part, without the parts that load by themselves."""
    parts: dict[str, str]
    """Words of those, by path."""


def survey(visitor: Visitor) -> PageSurvey:
    """Looks at the page that is open; leaves it as wide and as light as it was."""
    page = visitor.page
    words, parts = main_words(visitor)
    page.evaluate(f"() => {{ {AXE} }}")
    faults = {"wide": _faults(visitor, ALL_RULES)}
    page.emulate_media(color_scheme="dark")
    faults["dark"] = _faults(visitor, OF_COLOURS)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    faults["phone"] = _faults(visitor, OF_WIDTH)
    overflow = page.evaluate(OVERFLOW)
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    return PageSurvey(
        faults=faults,
        overflow=overflow,
        unreached=page.evaluate(UNREACHED),
        headings=page.locator("h1").count(),
        nodes=page.evaluate("() => document.querySelectorAll('*').length"),
        words=words,
        parts=parts,
    )


def main_words(visitor: Visitor) -> tuple[str, dict[str, str]]:
    """What a page says in its main part, and in each part of it that loads by itself; in single spaces."""
    words, parts = visitor.page.evaluate(MAIN)
    return lasting(" ".join(words.split())), {path: " ".join(text.split()) for path, text in parts}


def whole_words(visitor: Visitor) -> str:
    """What a page says in its main part, with all that it has loaded by itself, but for its forms."""
    return lasting(" ".join(visitor.page.evaluate(WHOLE).split()))


def lasting(words: str) -> str:
    """Words of a page without what is another at every look."""
    return re.sub(CHANGING, "", words)


def _faults(visitor: Visitor, options: dict[str, Any]) -> list[str]:
    report = visitor.page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in report["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
