"""Curves as SVG: lines of several series against one axis, on a linear or a logarithmic scale.

Colours are classes of the style sheet (`series-0`, …), which has them for light and dark; lines from the
fifth on are dashed besides, so that colour is not all that tells them apart.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dashboard.results.metrics import Curves, Panel, Series

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 70, 12, 14, 38
"""Pixels around the plot, which hold ticks and the axis' name."""
OPEN = '<svg class="curves" viewBox="0 0 {} {}" role="img" aria-label="{}">'
GRID = '<path class="grid" d="M{} {}{}{}"/>'
WORDS = '<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>'
TICKS = 6
"""Labels of an axis, about."""


@dataclass(frozen=True)
class Axis:
    """Where values lie between two pixels."""

    low: float
    high: float
    first: float
    """Pixel of `low`."""
    last: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (self.low, self.high, value)
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        return self.first + (at - low) / ((high - low) or 1) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Round values within the axis."""
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high)


def draw_curves(panel: Panel, curves: Curves, *, log: bool, label: str) -> Markup:
    """A panel as an SVG element.

    Args:
        panel: its lines; values at or below 0 are left out of a logarithmic scale.
        curves: whose marks (sizes, where it went on with another's state) are drawn.
        log: a logarithmic scale, where there is anything above 0.
        label: what a screen reader says of it.
    """
    drawable = [value for each in panel.series for value in _values(each, log)]
    if log and not drawable:
        return draw_curves(panel, curves, log=False, label=label)
    if not drawable:
        return Markup('<p class="empty">No value of it is a number.</p>')
    places = [float(place) for each in panel.series for place in (each.images[0], each.images[-1])]
    x = Axis(min(0.0, *places), max(max(places), 1.0), LEFT, WIDTH - RIGHT)
    y = Axis(*_range(drawable, log), HEIGHT - BOTTOM, TOP, log)
    parts = [
        Markup(OPEN).format(WIDTH, HEIGHT, label),
        *_grid(x, y),
        *_marks(curves, x),
    ]
    for number, each in enumerate(panel.series):
        path = _path(each, x, y, curves.continued_at)
        parts.append(Markup('<path class="series-{} line" fill="none" d="{}"/>').format(number, path))
    return Markup("").join([*parts, Markup("</svg>")])


def swatch(number: int) -> Markup:
    """A piece of the line of series `number`, for a table beside the picture."""
    line = '<svg class="swatch" viewBox="0 0 28 10" width="28" height="10" aria-hidden="true">'
    return Markup(line + '<path class="series-{} line" fill="none" d="M1 5H27"/></svg>').format(number)


def short_number(value: float) -> str:
    """A number for an axis or a table: "0.035", "1.2k", "3M", "2e-05"."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.4g}{name}"
    return f"{value:.4g}"


def linear_ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within a range."""
    span = high - low
    if not span > 0:
        return [low]
    rough = span / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within a range of positive values; where there are few, their doubles and fives too."""
    begin, end = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1,) if end - begin > TICKS // 2 else (1, 2, 5)
    step = max(1, round((end - begin) / TICKS))
    ticks = [factor * 10.0**power for power in range(begin, end + 1, step) for factor in factors]
    within = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    return within if len(within) > 1 else linear_ticks(low, high)


def _values(series: Series, log: bool) -> list[float]:
    return [float(value) for value in series.values if math.isfinite(value) and (value > 0 or not log)]


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    """Least and greatest with some room; never equal."""
    low, high = min(values), max(values)
    if log:
        room = max((high / low) ** 0.05, 1.02)
        return low / room, high * room
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return (0.0 if 0 <= low < (high - low) else low - room), high + room


def _grid(x: Axis, y: Axis) -> list[Markup]:
    """Lines at the ticks of both axes, with their numbers."""
    parts: list[Markup] = []
    for tick in y.ticks():
        at = round(y(tick), 1)
        parts.append(Markup(GRID).format(LEFT, at, "H", WIDTH - RIGHT))
        parts.append(Markup(WORDS).format(LEFT - 6, at + 4, "end", short_number(tick)))
    for tick in x.ticks():
        at = round(x(tick), 1)
        parts.append(Markup(GRID).format(at, TOP, "V", HEIGHT - BOTTOM))
        parts.append(Markup(WORDS).format(at, HEIGHT - BOTTOM + 16, "middle", short_number(tick)))
    return [*parts, Markup(WORDS).format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "middle", "images seen")]


def _marks(curves: Curves, x: Axis) -> list[Markup]:
    """Vertical lines with their words, where a size begins and where another's training was gone on with."""
    marks = [(at, f"{size} px") for at, size in curves.sizes]
    marks += [(at, "went on from here") for at in curves.continued_at]
    parts: list[Markup] = []
    for place, words in ((round(x(at), 1), words) for at, words in marks[:20] if x.low <= at <= x.high):
        parts.append(Markup('<path class="mark" d="M{} {}V{}"/>').format(place, TOP, HEIGHT - BOTTOM))
        parts.append(Markup(WORDS).format(place + 3, TOP + 10, "start", words))
    return parts


def _path(series: Series, x: Axis, y: Axis, breaks: Sequence[float]) -> str:
    """An SVG path that ends where a value is none, and begins anew after it and after each break."""
    commands: list[str] = []
    pen, before = "M", -math.inf
    drawn = 0
    for place, value in zip(series.images.tolist(), series.values.tolist(), strict=True):
        if not math.isfinite(value) or (y.log and value <= 0):
            pen = "M"
            continue
        if any(before <= at < place for at in breaks):
            pen = "M"
        if pen == "M" and drawn == 1:
            commands.append("h.01")  # a point alone shows by its round cap
        drawn = 1 if pen == "M" else drawn + 1
        commands.append(f"{pen}{x(place):.1f} {y(value):.1f}")
        pen, before = "L", place
    return "".join([*commands, "h.01" if drawn == 1 else ""])
