"""Answering several requests by one run of the model.

If a merged batch fails, its requests are run one by one, so that one bad request spoils no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from agiwb.runtimes.runtime import Tensors

Run = Callable[[Tensors], Tensors]
Outcome = Tensors | BaseException


def run_merged(
    run: Run, parts: Sequence[Tensors], rows: Sequence[int], padded: int, *, evens_out: bool = False
) -> list[Outcome]:
    """Return what ``run`` answers to each of ``parts``, asked all at once.

    Args:
        run: Answers a batch; each row independently of the others.
        parts: Inputs with the same names, dtypes and shapes but for the first dimension.
        rows: Rows of each part.
        padded: Rows of the batch, at least ``sum(rows)``; what is missing repeats the first row.
        evens_out: Whether the other dimensions of the parts may differ, and are padded.
    """
    total = sum(rows)
    if len(parts) == 1 and padded == total:
        return [_attempt(run, parts[0])]
    try:
        even = _even_out(parts) if evens_out else parts
        outputs = run({name: _join([part[name] for part in even], padded) for name in parts[0]})
        if any(len(array) != padded for array in outputs.values()):
            return [_attempt(run, part) for part in parts]
    except Exception:  # noqa: BLE001  whose request it was shows when each is run alone
        return [_attempt(run, part) for part in parts]
    return [
        {name: array[end - size : end] for name, array in outputs.items()}
        for size, end in zip(rows, accumulate(rows), strict=True)
    ]


def _attempt(run: Run, inputs: Tensors) -> Outcome:
    try:
        return run(inputs)
    except Exception as error:  # noqa: BLE001  it is the answer of the request that caused it
        return error


def _join(arrays: list[np.ndarray], padded: int) -> np.ndarray:
    joined = np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
    missing = padded - len(joined)
    if not missing:
        return joined
    return np.concatenate([joined, np.repeat(joined[:1], missing, axis=0)])


def _even_out(parts: Sequence[Tensors]) -> list[Tensors]:
    """Return the parts with every shape but the first dimension padded to the largest.

    TensorFlow Serving pads with the first element of the tensor, and so does this.
    """
    evened: list[Tensors] = [{} for _ in parts]
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        largest = np.max([array.shape[1:] for array in arrays], axis=0, initial=0)
        for part, array in zip(evened, arrays, strict=True):
            widths = [
                (0, 0),
                *((0, int(m - s)) for m, s in zip(largest, array.shape[1:], strict=True)),
            ]
            filler = array.flat[0] if array.size else 0
            part[name] = np.pad(array, widths, constant_values=filler)
    return evened


def count_rows(tensors: Tensors) -> int:
    """Return the rows of a batch: the largest first dimension, or 1 if there is none."""
    rows = -1
    for array in tensors.values():
        if array.ndim and len(array) > rows:
            rows = len(array)
    return 1 if rows < 0 else rows
