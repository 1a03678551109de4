"""What a file calls the columns of a table: not every format can write ``mean radius``."""

from __future__ import annotations

import re
from collections.abc import Iterable


def fitting_name(column: str) -> str:
    """Return a name that every format can write: ``mean_radius`` for ``mean radius``."""
    return re.sub(r"\W", "_", column, flags=re.ASCII)


def columns_of_inputs(inputs: Iterable[str], columns: Iterable[str]) -> dict[str, str]:
    """Return the column that each input is called after; an input without one is left out.

    Args:
        inputs: A model's, by the columns' own names or by those that fit.
        columns: A table's.
    """
    given = tuple(columns)
    known = {fitting_name(column): column for column in given} | {name: name for name in given}
    return {name: known[name] for name in inputs if name in known}
