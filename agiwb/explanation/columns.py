"""Features as a matrix of named columns, for methods that know nothing of types and shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset
from agiwb.explanation.names import feature_name


@dataclass(frozen=True)
class Columns:
    """The columns of some features, and the way there and back.

    Attributes:
        names: One a column.
        dtype: Of the features.
        shape: Of one example.
        categories: For each column of text its distinct values, sorted.
    """

    names: tuple[str, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    categories: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, data: Dataset, *parts: NDArray[Any]) -> Columns:
        """Return the columns of ``data``, which know the values in ``parts`` of its features."""
        features = parts[0]
        if names := features.dtype.names:
            categories = {
                name: np.unique(np.concatenate([part[name].astype(object) for part in parts]))
                for name in names
                if features.dtype[name].kind != "f"
            }
            return cls(names, features.dtype, (), categories)
        shape = features.shape[1:]
        named = tuple(feature_name(data, shape, i) for i in range(int(np.prod(shape))))
        return cls(named, features.dtype, shape, {})

    def matrix(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Return numbers as they are and texts as codes: ``(examples, columns)``."""
        if not self.dtype.names:
            return features.reshape(len(features), -1).astype(np.float64)
        return np.stack([self._codes(name, features[name]) for name in self.names], axis=1)

    def features(self, matrix: NDArray[np.float64]) -> NDArray[Any]:
        """Return features as the model takes them."""
        if not self.dtype.names:
            return matrix.astype(self.dtype).reshape(len(matrix), *self.shape)
        rows = np.empty(len(matrix), self.dtype)
        for name, values in zip(self.names, matrix.T, strict=True):
            known = self.categories.get(name)
            rows[name] = values if known is None else known[values.astype(np.intp)]
        return rows

    def _codes(self, name: str, values: NDArray[Any]) -> NDArray[np.float64]:
        known = self.categories.get(name)
        found = values if known is None else np.searchsorted(known, values.astype(object))
        return np.asarray(found, np.float64)
