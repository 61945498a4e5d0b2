"""Questions to Parquet tables that are greater than memory."""

import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress

import duckdb

MEMORY = "500MB"
"""What joins may hold in memory; the rest goes to disk."""


@contextmanager
def views(queries: Mapping[str, str]) -> Generator[duckdb.DuckDBPyConnection]:
    """A database whose views are the given queries, by name; gone with the block, scratch space too."""
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(config={"temp_directory": folder, "memory_limit": MEMORY}) as db,
    ):
        with suppress(duckdb.InvalidInputException):  # Jupyter without widgets has none to switch off
            db.execute("SET enable_progress_bar = false")
        for name, query in queries.items():
            db.execute(f"CREATE VIEW {name} AS {query}")
        yield db
