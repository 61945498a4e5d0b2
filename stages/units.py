"""Durations, rates and sizes, as people read them."""

from itertools import pairwise


def duration(seconds: float) -> str:
    """Seconds in their two greatest units: "45 s", "5 min 20 s", "1 h 0 min", "2 d 3 h"."""
    whole = round(seconds)
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    for (unit, name), (part, part_name) in pairwise(units):
        if whole >= unit:
            return f"{whole // unit:,} {name} {whole % unit // part} {part_name}"
    return f"{whole} s"


def rate(per_second: float) -> str:
    """How many in a second, to three digits below a hundred: "0.5/s", "12.3/s", "1,234/s"."""
    return f"{per_second:,.0f}/s" if per_second >= 100 else f"{per_second:.3g}/s"


def file_size(count: float) -> str:
    """Bytes in the decimal unit that suits: "12 kB", "3.4 MB", "1.0 GB"."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count / 1e3:,.0f} kB"
