"""Files that describe a matrix: found, read from wherever one is, and their notebooks found too."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from agiwb.batch.matrix_combinations import NOTEBOOK
from agiwb.batch.matrix_config import Entry, MatrixConfig
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


def read_matrix(path: Path) -> MatrixConfig:
    """Return the matrix that a file describes, with notebooks that are found from here.

    A notebook's path begins where the command runs, often the folder of the repository. One that
    is not there is looked for from the file's own folder, and from those above it.

    Raises:
        ConfigError: The file holds no matrix, or a field of it is wrong.
    """
    values = read_yaml(path)
    matrix = values.get("matrix")
    if isinstance(matrix, dict):
        values["matrix"] = _located(matrix, path.resolve().parent)
    return MatrixConfig.from_mapping(values)


def outcome_told(message: str, entries: list[Entry]) -> tuple[str, str] | None:
    """Return the name of the entry that a message of the matrix step tells of, and what it tells.

    None for a message about anything else.
    """
    _, _, said = message.partition("  ")
    for name in sorted((entry.name for entry in entries), key=len, reverse=True):
        if said.startswith(f"{name}: "):
            return name, said.removeprefix(f"{name}: ")
    return None


def _located(matrix: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the matrix with the path of each notebook as it is found."""
    found = {name: _of_notebooks(name, value, folder) for name, value in matrix.items()}
    for rows in ("include", "exclude"):
        if isinstance(matrix.get(rows), list):
            found[rows] = [
                {name: _of_notebooks(name, value, folder) for name, value in row.items()}
                if isinstance(row, dict)
                else row
                for row in matrix[rows]
            ]
    return found


def _of_notebooks(name: str, value: Any, folder: Path) -> Any:
    if name != NOTEBOOK:
        return value
    if isinstance(value, list):
        return [_of_notebooks(name, one, folder) for one in value]
    if not isinstance(value, str) or Path(value).is_file():
        return value
    places = (above / value for above in (folder, *folder.parents))
    return next((str(place) for place in places if place.is_file()), value)


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
