"""Sums for each cell of each slice, kept sparse so that memory does not grow with the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DENSE_FACTOR = 4
"""How many times more cells than rows may be counted in one dense array."""


class GroupedSums:
    """What falls into each cell of each slice: ``width`` sums, in float64.

    A cell is what a metric tells apart: a bucket of a histogram, an entry of a confusion matrix.
    Memory is that of the cells that occur, however many rows were added.
    """

    def __init__(self, width: int) -> None:
        self._groups = np.empty(0, np.int64)
        self._cells = np.empty(0, np.int64)
        self._sums = np.empty((width, 0))

    def add(
        self,
        groups: NDArray[np.int64],
        cells: NDArray[np.int64],
        values: tuple[NDArray[np.float64], ...],
    ) -> None:
        """Add items.

        Args:
            groups: Each item's slice, shape ``(items,)``; negative ones belong to no slice here.
            cells: Each item's cell, shape ``(items,)``, not negative.
            values: ``width`` arrays, each of shape ``(items,)``.
        """
        if len(groups) and groups.min() < 0:
            chosen = np.flatnonzero(groups >= 0)
            groups, cells = groups[chosen], cells[chosen]
            values = tuple(column[chosen] for column in values)
        if not len(groups):
            return
        new = _summed(groups, cells, values)
        groups = np.concatenate((self._groups, new[0]))
        cells = np.concatenate((self._cells, new[1]))
        columns = tuple(np.concatenate((self._sums, new[2]), axis=1))
        self._groups, self._cells, self._sums = _summed(groups, cells, columns)

    def of(self, group: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return a slice's cells, ascending, and their sums, shape ``(width, cells)``."""
        start, end = np.searchsorted(self._groups, (group, group + 1))
        return self._cells[start:end], self._sums[:, start:end]


def _summed(
    groups: NDArray[np.int64], cells: NDArray[np.int64], values: tuple[NDArray[np.float64], ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the groups, cells and sums of the items, sorted by group and cell."""
    span = int(cells.max()) + 1
    keys = groups * span + cells
    size = (int(groups.max()) + 1) * span
    if size <= _DENSE_FACTOR * len(keys) + 1024:
        found = np.flatnonzero(np.bincount(keys, minlength=size))
        sums = np.stack([np.bincount(keys, column, size)[found] for column in values])
    else:
        found, places = np.unique(keys, return_inverse=True)
        sums = np.stack([np.bincount(places, column, len(found)) for column in values])
    return (found // span).astype(np.int64), (found % span).astype(np.int64), sums.astype(float)
