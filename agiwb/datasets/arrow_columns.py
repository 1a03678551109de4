"""Batches of Arrow columns as the features of examples, of types that were decided before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.columns import MISSING_WORDS, texts_of
from agiwb.datasets.source import Place
from agiwb.errors import DatasetError

Batch = Any
"""A ``pyarrow.RecordBatch``."""


def table_rows(batch: Batch, dtype: np.dtype[Any], place: Place) -> NDArray[Any]:
    """Return the columns named in ``dtype`` as a structured array ``(rows,)``.

    Raises:
        DatasetError: A value is no number where numbers are due, or is infinite or beyond 32 bits.
    """
    rows = np.empty(batch.num_rows, dtype)
    for name in dtype.names or ():
        column = batch.column(name)
        if dtype[name].kind == "f":
            rows[name] = _numbers(column, name, place)
        else:
            rows[name] = _texts(column)
    return rows


def text_rows(batch: Batch, name: str) -> NDArray[Any]:
    """Return a column as str objects ``(rows,)``."""
    return _texts(batch.column(name))


def array_rows(batch: Batch, name: str, width: int, place: Place) -> NDArray[np.float32]:
    """Return a column of lists of ``width`` numbers as float32 ``(rows, width)``.

    Raises:
        DatasetError: A list is missing or of another length, or a number is missing or infinite.
    """
    column = batch.column(name)
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(~(lengths == width))
    if len(wrong) or column.null_count:
        row = int(wrong[0]) if len(wrong) else int(np.flatnonzero(column.is_null())[0])
        found = "missing" if not lengths[row] >= 0 else f"a list of {lengths[row]:.0f}"
        raise DatasetError(
            f"In {place(row)}, `{name}` is {found}, and others have {width} numbers.",
            "All examples need the same number of numbers.",
        )
    found = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    with np.errstate(over="ignore"):  # a number too large for 32 bits is refused as infinity
        values: NDArray[np.float32] = found.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise DatasetError(
            f"In {place(row)}, `{name}` holds a missing or infinite number.", "Clean the data."
        )
    return values


def _texts(column: Any) -> NDArray[Any]:
    from pyarrow import types

    if types.is_string(column.type) or types.is_large_string(column.type):  # much the faster way
        texts: NDArray[Any] = column.fill_null("").to_numpy(zero_copy_only=False)
        return texts
    return texts_of(column.to_pandas())


def _numbers(column: Any, name: str, place: Place) -> NDArray[np.float32]:
    from pyarrow import types

    is_number = types.is_floating(column.type) or types.is_integer(column.type)
    found = column.to_numpy(zero_copy_only=False) if is_number else _parsed(column, name, place)
    with np.errstate(over="ignore"):  # a number too large for 32 bits is refused below
        values: NDArray[np.float32] = found.astype(np.float32)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise DatasetError(
            f"In {place(int(infinite[0]))}, the column `{name}` is infinite or beyond 32 bits: "
            f"{found[infinite[0]]}.",
            "Mend the value, or leave it empty.",
        )
    return values


def _parsed(column: Any, name: str, place: Place) -> NDArray[np.float64]:
    """Return the numbers that a column of texts or truths stands for."""
    import pandas as pd

    texts = pd.Series(column.to_pandas(), dtype=object)
    is_absent = (texts.isna() | texts.isin(MISSING_WORDS)).to_numpy()
    numbers = pd.to_numeric(texts.where(~is_absent, None), errors="coerce").to_numpy(np.float64)
    strays = np.flatnonzero(np.isnan(numbers) & ~is_absent)
    if len(strays):
        row = int(strays[0])
        raise DatasetError(
            f"In {place(row)}, the column `{name}` is {str(texts.iloc[row])[:40]!r}, which is not "
            "a number, as those seen before are.",
            "Mend the value, or leave it empty.",
        )
    return numbers
