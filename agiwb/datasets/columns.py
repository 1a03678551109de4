"""Columns of a table as arrays: numbers as float32, all else as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.labels import FEW
from agiwb.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

    from agiwb.datasets.table import TableFile

MISSING_WORDS = frozenset(
    {"", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A", "<NA>", "?"}
)
"""What stands for a missing number among numbers; among texts they may mean themselves."""

_NEARLY_ALL = 0.9
_ROWS_PER_SLICE = 5


def texts_of(column: pd.Series[Any]) -> NDArray[Any]:
    """Return str objects ``(rows,)``: whole numbers without a decimal point, missing as ``""``."""
    if column.dtype.kind == "f":
        return np.array([_text_of_number(value) for value in column], dtype=object)
    missing = column.isna().to_numpy()
    texts = column.astype(object).map(str).to_numpy(dtype=object)
    texts[missing] = ""
    return texts


def share_of_numbers(column: pd.Series[Any]) -> float:
    """Return the share of a column's values that are numbers, or missing among numbers."""
    _, strays = _as_numbers(column)
    return 1 - float(strays.mean())


def label_values(column: pd.Series[Any]) -> NDArray[Any]:
    """Return a label's values as found: bool, int or float, else str with ``""`` for missing."""
    if column.dtype.kind in "biuf":
        return column.to_numpy()
    return texts_of(column)


def structured(table: TableFile, names: tuple[str, ...], notes: list[str]) -> NDArray[Any]:
    """Return the columns ``names`` as a structured array ``(rows,)``, as kind table has them.

    What may surprise is added to ``notes``.

    Raises:
        DatasetError: A number is infinite, or beyond 32 bits.
    """
    columns: dict[str, NDArray[Any]] = {}
    for name in names:
        numbers, strays = _as_numbers(table.frame[name])
        if strays.any():
            columns[name] = texts_of(table.frame[name])
            notes += _note_of_strays(table, name, columns[name], strays)
            continue
        with np.errstate(over="ignore"):  # a number too large for 32 bits is refused below
            values = numbers.astype(np.float32)
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            raise DatasetError(
                f"In {table.place(int(infinite[0]))}, the column `{name}` is infinite or beyond "
                f"32 bits: {numbers[infinite[0]]}.",
                "Mend the value, or leave it empty.",
            )
        columns[name] = values
    return as_structured(columns)


def as_structured(columns: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Return one structured array ``(rows,)`` with a field for each column."""
    count = len(next(iter(columns.values())))
    rows = np.empty(count, [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    return rows


def slice_columns(table: TableFile, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return the columns ``names`` to slice by, as str; what is missing is called so."""
    columns = {name: texts_of(table.frame[name]) for name in names}
    return {name: _sliceable(values) for name, values in columns.items()}


def is_sliceable(values: NDArray[Any]) -> bool:
    """Return whether a column has 2 to 20 values, of five examples each or more on average."""
    distinct = len(np.unique(values))
    return 2 <= distinct <= min(FEW, len(values) / _ROWS_PER_SLICE)


def is_nested(column: pd.Series[Any]) -> bool:
    """Return whether a column holds lists, objects or bytes, which are neither number nor text."""
    if column.dtype.kind != "O":
        return False
    present = column.dropna()
    return len(present) > 0 and isinstance(present.iloc[0], (list, dict, bytes, tuple, np.ndarray))


def _sliceable(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(values == "", "missing", values).astype(str)


def _as_numbers(column: pd.Series[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the numbers of a column, NaN where there is none, and where that is no missing one.

    A column in which nothing is a number is all strays.
    """
    import pandas as pd

    if column.dtype.kind in "biuf":
        return column.to_numpy(np.float64), np.zeros(len(column), bool)
    if column.dtype.kind == "M":
        return np.full(len(column), np.nan), np.ones(len(column), bool)
    objects = column.astype(object)
    absent = (objects.isna() | objects.isin(MISSING_WORDS)).to_numpy()
    numbers = pd.to_numeric(objects.where(~absent, None), errors="coerce").to_numpy(np.float64)
    strays = np.isnan(numbers) & ~absent
    if not absent.all() and np.isnan(numbers).all():
        strays = np.ones(len(column), bool)
    return numbers, strays


def _note_of_strays(
    table: TableFile, name: str, texts: NDArray[Any], strays: NDArray[np.bool_]
) -> list[str]:
    """Say so where a column is text only because a few of its values are no numbers."""
    if strays.mean() > 1 - _NEARLY_ALL:
        return []
    first = int(np.flatnonzero(strays)[0])
    note = (
        f"The column `{name}` is taken as text, since {int(strays.sum())} of its values are no "
        f"numbers: the first is {str(texts[first])[:40]!r} in row {table.rows[first]}."
    )
    return [note]


def _text_of_number(value: float) -> str:
    if np.isnan(value):
        return ""
    return str(int(value)) if float(value).is_integer() else str(value)
