"""DuckDB, in memory: it reads our Parquet files, and neither writes any nor asks the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def connect() -> Any:
    """Return a connection of one's own, to be closed by its context."""
    import duckdb

    # A reader that is not built in would be downloaded without being asked for.
    return duckdb.connect(config={"autoinstall_known_extensions": "false"})


def listed(files: Sequence[str]) -> str:
    """Return paths as a list in SQL."""
    return "[" + ", ".join("'" + file.replace("'", "''") + "'" for file in files) + "]"
