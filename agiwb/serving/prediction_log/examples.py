"""The examples in logged requests as arrays: requests of one layout lie on end, and are cut out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.prediction_log.columns import (
    ListColumn,
    TensorLayout,
    as_typed,
    read_layout,
)


@dataclass(frozen=True)
class Examples:
    """The examples of some requests of one layout; a request may hold several.

    Attributes:
        requests: int64, shape ``(rows,)``: the row of the table that each example was asked in.
        inputs: By name, shape ``(rows, ...)``; text as an array of objects.
        outputs: The same of the answers.
    """

    requests: NDArray[np.int64]
    inputs: Tensors
    outputs: Tensors

    def __len__(self) -> int:
        return len(self.requests)


def examples_of(table: Any) -> Iterator[Examples]:
    """Yield the examples of a ``pyarrow.Table`` with columns of ``Columns``, by layout.

    First come those whose last request is the latest in the table. Tensors whose column the table
    does not have are left out, and so are those that have another number of examples than the
    first input (or, without one, the first output); requests without any tensor too.
    """
    layouts = table["layout"].to_pylist()
    places: dict[str, list[int]] = {}
    for place, text in enumerate(layouts):
        places.setdefault(text, []).append(place)
    for text, its in sorted(places.items(), key=lambda item: -item[1][-1]):
        wanted = [one for one in read_layout(text) if one.column in table.column_names]
        if not wanted:
            continue
        index = np.array(its, np.int64)
        chosen = table.select(sorted({one.column for one in wanted}))
        if len(index) < len(layouts):
            chosen = chosen.take(index)
        yield _cut(chosen.combine_chunks(), index, wanted)


def _cut(table: Any, requests: NDArray[np.int64], wanted: list[TensorLayout]) -> Examples:
    each = (wanted[0].shape or (1,))[0]
    sides: dict[str, Tensors] = {"input": {}, "output": {}}
    for one in wanted:
        shape = one.shape or (1,)
        if shape[0] != each:
            continue
        column = table[one.column]
        values = ListColumn(column.chunk(0)).values_of(0, len(requests))
        sides[one.side][one.name] = as_typed(values, one).reshape(len(requests) * each, *shape[1:])
    return Examples(np.repeat(requests, each), sides["input"], sides["output"])
