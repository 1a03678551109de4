"""A weight that a converter was not given, and what the graph does to it before it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Step = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Weight:
    """A tensor that the graph reads, and how its values are made.

    Attributes:
        name: Of the tensor in the graph.
        dtype: NumPy's.
        shape: As the graph reads it.
        values: Reads the variable and arranges it: the only time that it is in memory.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    values: Callable[[], NDArray[Any]]

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def after(self, step: Step, name: str) -> Weight:
        """Return the tensor ``name`` that a step makes of this one."""
        # A single value, spread out, has a shape and takes no memory.
        arranged = step(np.broadcast_to(np.zeros((), self.dtype), self.shape))
        return Weight(name, arranged.dtype, arranged.shape, lambda: step(self.values()))
