"""Which slices each row belongs to, by TFMA's own rules asked once for each set of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import ConfigError, did_you_mean

SliceKey = tuple[tuple[str, Any], ...]
"""A slice as TFMA names it: pairs of column and value, sorted; ``()`` is all rows."""


class Slicing:
    """The slices met so far, numbered in the order in which they were met.

    A row belongs to at most one slice of a slicing spec, so that each spec is one array of
    numbers. A slice that two specs describe belongs to the first, and its rows are counted once.
    """

    def __init__(self, eval_config: Any) -> None:
        from tensorflow_model_analysis.slicer import slicer_lib

        specs = eval_config.slicing_specs or [None]
        if any(spec and spec.slice_keys_sql for spec in specs):
            raise ConfigError(
                "`slicing_specs`: the fast engine does not slice by SQL (`slice_keys_sql`).",
                "Slice by columns, or evaluate with `engine: tfma`.",
            )
        self._specs = [
            slicer_lib.SingleSliceSpec(spec=spec) if spec else slicer_lib.SingleSliceSpec()
            for spec in specs
        ]
        self.keys: list[SliceKey] = []
        self._numbers: dict[SliceKey, tuple[int, int]] = {}
        self.sizes: list[int] = []

    def membership(self, columns: Mapping[str, NDArray[Any]], rows: int) -> list[NDArray[np.int64]]:
        """Return for each spec the number of each row's slice, -1 for none; shape ``(rows,)``.

        Raises:
            ConfigError: There is no such column.
        """
        found = [self._numbered(index, columns, rows) for index in range(len(self._specs))]
        sizes = np.zeros(len(self.keys), int)
        for numbers in found:
            sizes += np.bincount(numbers[numbers >= 0], minlength=len(sizes))
        before = np.array(self.sizes + [0] * (len(sizes) - len(self.sizes)))
        self.sizes = (before + sizes).tolist()
        return found

    def _numbered(
        self, index: int, columns: Mapping[str, NDArray[Any]], rows: int
    ) -> NDArray[np.int64]:
        spec = self._specs[index]
        names = sorted(spec._columns | {name for name, _ in spec._features})  # noqa: SLF001
        codes, values = _combinations([_column(name, columns) for name in names], rows)
        numbers = np.array(
            [self._number(index, dict(zip(names, row, strict=True))) for row in values], np.int64
        )
        return numbers[codes] if len(numbers) else np.full(rows, -1)

    def _number(self, index: int, values: dict[str, Any]) -> int:
        from tensorflow_model_analysis.slicer import slice_accessor

        row = {name: np.array([value]) for name, value in values.items()}
        accessor = slice_accessor.SliceAccessor([row])
        for key in self._specs[index].generate_slices(accessor):
            number, owner = self._numbers.setdefault(key, (len(self.keys), index))
            if number == len(self.keys):
                self.keys.append(key)
            return number if owner == index else -1
        return -1


def _column(name: str, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if name not in columns:
        raise ConfigError(
            f"`slicing_specs`: there is no column {name!r}.", did_you_mean(name, columns)
        )
    values = columns[name].reshape(len(columns[name]), -1)
    if values.shape[1] != 1:
        raise ConfigError(
            f"`slicing_specs`: the column {name!r} has {values.shape[1]} values in each row.",
            "Slice by columns of one value.",
        )
    return values[:, 0]


def _combinations(
    columns: list[NDArray[Any]], rows: int
) -> tuple[NDArray[np.int64], list[tuple[Any, ...]]]:
    """Return each row's combination of values, and the values of each combination."""
    import pandas as pd

    codes = np.zeros(rows, np.int64)
    values: list[tuple[Any, ...]] = [()] if rows else []
    for column in columns:
        own, unique = pd.factorize(column.astype(object) if column.dtype.kind in "US" else column)
        if (own < 0).any():
            raise ConfigError(
                "`slicing_specs`: a column to slice by has missing values.",
                "Give them a value of their own, such as `unknown`.",
            )
        codes, used = pd.factorize(codes * len(unique) + own)
        values = [(*values[pair // len(unique)], unique[pair % len(unique)]) for pair in used]
    return codes, values
