"""One DuckDB database in memory for all questions of the dashboard.

To open a database takes 20 ms of a processor, and to read a Parquet file's footer a few more; so there is
one, each question has a cursor of its own, and footers stay in memory, as published files never change.
"""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from stages.parquet_view import parquet

MEMORY = "400MB"
"""That queries may hold; the rest goes to disk."""


class Database:
    """A database with temporary views of Parquet files; safe to use from several threads."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="sdflow-")
        self._db = duckdb.connect(config={"temp_directory": self._scratch.name, "memory_limit": MEMORY})
        with suppress(duckdb.InvalidInputException):  # Jupyter without widgets has none to switch off
            self._db.execute("SET enable_progress_bar = false")
        self._db.execute("SET parquet_metadata_cache = true")

    @contextmanager
    def cursor(self) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection whose temporary views are nobody else's; gone with the block."""
        with self._db.cursor() as cursor:
            yield cursor


def temporary_view(db: duckdb.DuckDBPyConnection, name: str, *paths: Path) -> None:
    """Let `name` mean the rows of Parquet files, for this connection alone."""
    db.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS FROM {parquet(*paths)}")
