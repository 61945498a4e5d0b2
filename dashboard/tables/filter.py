"""Which rows of a table are meant, as a query of an address says it, and the SQL for that.

What can be asked follows from the types of a table's columns, so that a new column can be asked for at once:
numbers by a range, texts by their value, lists of labels by name and value, captions by their words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from stages.artifacts.artifact import Artifact
from stages.kinds.rejects import REJECTS
from stages.registry import kinds

NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
FLOATS = ("FLOAT", "DOUBLE")
WORDS = 8
"""Words of a question to captions that count."""
CONTAINS = 'contains(lower(c."text"), ?)'
BEGINS = 'regexp_matches(lower(c."text"), ?)'
"""SQL for a caption that has a word somewhere, and for one that has it at the beginning of a word."""


@dataclass(frozen=True, kw_only=True)
class RowFilter:
    """Rows that meet all that is given; "" and None ask for nothing."""

    table: str = ""
    """Name of the file without ".parquet"; "": the rejects where a reason is given, else the kept rows."""
    reason: str = ""
    column: str = ""
    """That `least`, `most` and `value` are about."""
    least: float | None = None
    most: float | None = None
    value: str = ""
    cluster: str = ""
    split: str = ""
    label: str = ""
    """"style=photo", or a value alone."""
    words: str = ""
    """Words that one caption has, all of them, whatever their case."""

    def query(self, **changes: object) -> dict[str, object]:
        """What an address says of it, with changes; without what asks for nothing."""
        return {name: value for name, value in {**asdict(self), **changes}.items() if value not in ("", None)}

    @property
    def asks(self) -> bool:
        """Whether anything but a table is asked for."""
        return bool(self.query(table=""))


@dataclass(frozen=True)
class SqlCondition:
    """SQL, and values for its question marks."""

    sql: str
    values: tuple[object, ...]


def condition(row_filter: RowFilter, columns: Mapping[str, str]) -> SqlCondition:
    """A filter for a table with these columns and their SQL types.

    Raises:
        ValueError: the table cannot be asked that; says what it can be asked.
    """
    parts: list[str] = []
    values: list[object] = []
    for name in ("reason", "cluster", "split"):
        value = getattr(row_filter, name)
        if value:
            _known(name, columns)
            parts.append(f'"{name}" = ?')
            values.append(value)
    if row_filter.column:
        _known(row_filter.column, columns)
        for limit, sign in ((row_filter.least, ">="), (row_filter.most, "<=")):
            if limit is not None:
                if not is_number(columns[row_filter.column]):
                    raise ValueError(
                        f"{row_filter.column!r} holds no numbers: ask for a value of it, not a range"
                    )
                parts.append(f'"{row_filter.column}" {sign} ?')
                values.append(limit)
        if row_filter.value:
            parts.append(f'CAST("{row_filter.column}" AS VARCHAR) = ?')
            values.append(row_filter.value)
    elif row_filter.least is not None or row_filter.most is not None or row_filter.value:
        raise ValueError("a range or a value needs the column that it is about")
    if row_filter.label:
        name, equals, value = row_filter.label.rpartition("=")
        column = _of_type(columns, "value", "labels")
        test = 'l."value" = ?' + (' AND l."name" = ?' if equals else "")
        parts.append(f'len(list_filter("{column}", lambda l: {test})) > 0')
        values += [value, name] if equals else [value]
    if words := row_filter.words.lower().split()[:WORDS]:
        column = _of_type(columns, "text", "captions")
        # The first question costs a third of the second one, which then has few rows to look at.
        parts.append(_some_caption(column, [CONTAINS] * len(words)))
        values += words
        if any(_stands_apart(word) for word in words):
            parts.append(
                _some_caption(column, [BEGINS if _stands_apart(word) else CONTAINS for word in words])
            )
            values += [_beginning(word) if _stands_apart(word) else word for word in words]
    return SqlCondition(" AND ".join(parts) or "true", tuple(values))


def is_number(sql_type: str) -> bool:
    """Whether a column of this type can be asked for a range."""
    return sql_type in NUMBERS or sql_type in FLOATS or sql_type.startswith("DECIMAL")


def text_lists(columns: Mapping[str, str], field: str) -> list[str]:
    """Columns that are lists of structs with a field: "text" of captions, "value" of labels."""
    return [
        name
        for name, kind in columns.items()
        if kind.endswith("[]") and kind.startswith("STRUCT") and _has_field(kind, field)
    ]


def tables_of(artifact: Artifact) -> list[str]:
    """Tables of an artifact whose rows can be looked through: what its kind traces, kept rows first; of an
    unknown kind every table of its own."""
    kind = kinds().get(artifact.kind)
    if kind is None:
        names = [name.removesuffix(".parquet") for name in artifact.names() if name.endswith(".parquet")]
        return [name for name in names if "/" not in name]
    traced = sorted(kind.trace, key=lambda trace: trace is REJECTS)
    return [trace.table for trace in traced if artifact.has_table(trace.table)]


def _stands_apart(word: str) -> bool:
    """Whether it is of a script with spaces between its words, as far as its first letter says: "red" is then
    not in "checkered"; elsewhere any place will do."""
    return word[0].isascii() and word[0].isalnum()


def _some_caption(column: str, tests: Sequence[str]) -> str:
    """SQL for a list of captions one of which meets all tests."""
    return f'len(list_filter("{column}", lambda c: {" AND ".join(tests)})) > 0'


def _beginning(word: str) -> str:
    """A regular expression for a word, or one that begins so, in small letters."""
    return r"(^|[^\pL\pN])" + "".join(rf"\x{{{ord(letter):x}}}" for letter in word)


def _has_field(kind: str, field: str) -> bool:
    return f'"{field}" ' in kind or f"({field} " in kind or f", {field} " in kind


def _of_type(columns: Mapping[str, str], field: str, what: str) -> str:
    names = text_lists(columns, field)
    if not names:
        raise ValueError(f"this table has no {what}; its columns are {', '.join(columns)}")
    return names[0]


def _known(column: str, columns: Mapping[str, str]) -> None:
    if column not in columns or '"' in column:
        raise ValueError(f"there is no column {column!r}; there are {', '.join(columns)}")
