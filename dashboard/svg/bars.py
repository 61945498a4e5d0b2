"""Bars as SVG: a share of a whole, as wide as the column that it stands in."""

from markupsafe import Markup

UNITS = 1000
"""Width of the whole, in units of the drawing."""
LEAST = 4
"""Units of the narrowest bar that is not empty: it can still be seen, and pressed."""


def bar(part: float, whole: float, tone: str = "bar") -> Markup:
    """A bar for a number that stands beside it in words, so that screen readers pass over it.

    Args:
        part: what it shows; 0 is an empty bar.
        whole: what a full bar means; 0 or less gives an empty one.
        tone: class of the style sheet that colours it.
    """
    share = min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0
    width = max(LEAST, round(share * UNITS)) if share else 0
    return Markup(
        '<svg class="bar-drawing" viewBox="0 0 {units} 10" preserveAspectRatio="none" aria-hidden="true" '
        'focusable="false"><rect class="bar-whole" width="{units}" height="10"/>'
        '<rect class="{tone}" width="{width}" height="10"/></svg>'
    ).format(units=UNITS, tone=tone, width=width)
