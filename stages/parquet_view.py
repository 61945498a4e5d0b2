"""Parquet files and databases in DuckDB, by paths that mean themselves and nothing else.

DuckDB takes `*`, `?` and `[` in a path for a pattern, so that a store in `runs?` would be read together with
its neighbour `runs1`; and it takes a folder called `sha256=1` for a column of that name (Hive partitioning),
whose value replaces what the file says. Here paths are escaped, and folders mean nothing.
"""

import glob
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def parquet(*paths: Path | str, union_by_name: bool = False) -> str:
    """SQL that reads Parquet files: a table function, for FROM.

    Args:
        paths: at least one file on this machine.
        union_by_name: files may have other columns than the first; what one lacks is NULL.
    """
    assert paths
    files = ", ".join(literal(glob.escape(str(path))) for path in paths)
    union = ", union_by_name = true" if union_by_name else ""
    return f"read_parquet([{files}], hive_partitioning = false{union})"


def create_view(
    db: "duckdb.DuckDBPyConnection", name: str, *paths: Path | str, union_by_name: bool = False
) -> None:
    """Let `name` mean the rows of Parquet files from now on."""
    db.execute(f"CREATE OR REPLACE VIEW {name} AS FROM {parquet(*paths, union_by_name=union_by_name)}")


def database_file(path: Path) -> str:
    """What to connect to for a database in a file: the path; memory, which spills to disk, where that fails.

    DuckDB takes what follows a `?` in a database's path for options, and writes its log before it.
    """
    return ":memory:" if "?" in str(path) else str(path)


def literal(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"
