"""DuckDB, in memory: it reads our Parquet files and writes none.

Of the network it knows nothing: what it reads in the object store is read for it by fsspec.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agiwb.serving.prediction_log.places import Part
from agiwb.serving.prediction_log.shared import SharedPart


def connect() -> Any:
    """Return a connection of one's own, to be closed by its context."""
    import duckdb

    # A reader that is not built in would be downloaded without being asked for.
    return duckdb.connect(config={"autoinstall_known_extensions": "false"})


def let_read_shared(connection: Any, parts: Sequence[Part]) -> None:
    """Have DuckDB read the parts that are in the object store through fsspec."""
    shared = [part for part in parts if isinstance(part, SharedPart)]
    if shared and not shared[0].store.is_folder:  # there is one store
        sizes = {part.path.as_posix(): part.size for part in shared}
        connection.register_filesystem(shared[0].store.known(sizes))


def listed(files: Sequence[str]) -> str:
    """Return paths as a list in SQL."""
    return "[" + ", ".join("'" + file.replace("'", "''") + "'" for file in files) + "]"
