"""A column of texts in little memory: a number for each row, and what each number stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class CodedColumn:
    """Texts as they come, row after row; four bytes a row."""

    def __init__(self) -> None:
        self.names: list[str] = []
        """The different texts, in the order in which they came."""
        self.first_rows: list[int] = []
        """The row in which each of them came first."""
        self._numbers: dict[str, int] = {}
        self._chunks: list[NDArray[np.int32]] = []
        self._count = 0

    def add(self, texts: NDArray[Any]) -> None:
        """Append str objects ``(rows,)``."""
        import pandas as pd

        codes, distinct = pd.factorize(texts)
        _, firsts = np.unique(codes, return_index=True)
        numbers = np.empty(len(distinct), np.int32)
        for place, (text, first) in enumerate(zip(distinct, firsts, strict=True)):
            name = str(text)
            if name not in self._numbers:
                self._numbers[name] = len(self.names)
                self.names.append(name)
                self.first_rows.append(self._count + int(first))
            numbers[place] = self._numbers[name]
        self._chunks.append(numbers[codes])
        self._count += len(texts)

    def codes(self) -> NDArray[np.int32]:
        """Return for each row the index of its text in ``names``."""
        return np.concatenate([np.empty(0, np.int32), *self._chunks])

    def compact(self) -> tuple[NDArray[np.str_], NDArray[Any]]:
        """Return the different texts and the number of each row in the smallest type."""
        smallest = np.min_scalar_type(max(0, len(self.names) - 1))
        names = np.array(["missing" if name == "" else name for name in self.names], dtype=str)
        return names, self.codes().astype(smallest)
