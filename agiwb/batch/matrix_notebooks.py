"""Where the notebooks of a matrix lie, as its file names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agiwb.batch.matrix_combinations import NOTEBOOK


def with_notebooks_found(matrix: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the matrix with the path of each notebook as it is found.

    A path begins where the command runs, often the folder of the repository. A notebook that is not
    there is looked for from ``folder``, that of the matrix's file, and from those above it.
    """
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
