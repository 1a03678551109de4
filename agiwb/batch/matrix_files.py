"""Files that describe a matrix, found; and what its run says of each entry."""

from __future__ import annotations

import itertools
from pathlib import Path

from agiwb.batch.matrix_combinations import NOTEBOOK
from agiwb.batch.matrix_config import Entry
from agiwb.config import read_yaml
from agiwb.errors import ConfigError

_PATTERNS = ("*.yaml", "*.yml", "*/*.yaml", "*/*.yml", "*/*/*.yaml", "*/*/*.yml")
_MOST_FILES = 50
_LARGEST_BYTES = 100_000


def matrix_files(folder: Path) -> list[Path]:
    """Return the YAML files in ``folder``, and up to two levels below, that describe a matrix."""
    found = sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)})
    seen = (path for path in found if not _is_hidden(path, folder))
    return list(itertools.islice(filter(_holds_matrix, seen), _MOST_FILES))


def outcome_told(message: str, entries: list[Entry]) -> tuple[str, str] | None:
    """Return the name of the entry that a message of the matrix step tells of, and what it tells.

    None for a message about anything else.
    """
    _, _, said = message.partition("  ")
    for name in sorted((entry.name for entry in entries), key=len, reverse=True):
        if said.startswith(f"{name}: "):
            return name, said.removeprefix(f"{name}: ")
    return None


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _holds_matrix(path: Path) -> bool:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return False
        matrix = read_yaml(path).get("matrix")
    except (ConfigError, OSError):
        return False
    return isinstance(matrix, dict) and (NOTEBOOK in matrix or "include" in matrix)
