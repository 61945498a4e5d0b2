"""Which rows go by which names, in SQL: the join that collect, filter and take-downs themselves make."""

from collections.abc import Iterable

HOST_PATTERN = r"^https?://(\[[^]]*\]|[^/:?#]+)"
HOST = f"regexp_extract({{}}, '{HOST_PATTERN}', 1)"

CONDITIONS = {
    "uid": "n.value = r.uid",
    "url": "n.value = r.location",
    "sha256": "n.value = r.sha256",
    "host": "(n.value = r.host OR ends_with(r.host, '.' || n.value))",
}
"""Kind of name -> when a row goes by it. A host stands for its subdomains too."""


def host_of(column: str = "location") -> str:
    """SQL: the host of a normalised URL; "" for other locations."""
    return HOST.format(column)


def matches(columns: str, rows: str, names: str, kinds: Iterable[str] = tuple(CONDITIONS)) -> str:
    """SQL: a row for each name by which a row goes.

    Args:
        columns: what is selected, of `r`, the rows, and `n`, the names.
        rows: table with `uid`, `location`, `host` and `sha256`, as far as `kinds` need them.
        names: table with `kind` and `value`.
        kinds: keys of `CONDITIONS`; names of other kinds are passed over.
    """
    joins = (
        f"SELECT {columns} FROM {rows} r JOIN {names} n ON n.kind = '{kind}' AND {CONDITIONS[kind]}"
        for kind in kinds
    )
    return " UNION ALL ".join(joins)


def taken_down(rows: str, kinds: Iterable[str] = tuple(CONDITIONS)) -> str:
    """SQL: `uid` and `takedown`, the number of the first take-down that names a row by any of its names.

    `rows` and `kinds` are as in `matches`; a table `takedowns` is as in `records.TABLE`."""
    joins = matches("r.uid, n.number", rows, "takedowns", kinds)
    return f"SELECT uid, min(number) AS takedown FROM ({joins}) GROUP BY uid"
