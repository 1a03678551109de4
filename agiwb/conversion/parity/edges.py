"""Edge cases of each kind of example: what real examples seldom hold, and users send."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature
from agiwb.datasets.dataset import Dataset

LARGE_BATCH = 64
_UNSEEN = "\u2603 never seen"  # a snowman: no data set has it, and it is not ASCII
_MANY_WORDS = 2_000


def edge_cases(data: Dataset, real: NDArray[Any], signature: Signature) -> dict[str, NDArray[Any]]:
    """Return features by the name of the case, of the dtype of ``real``.

    Args:
        data: The data set.
        real: Some of its examples, one at least.
        signature: Of the model; a sequence is made shorter and longer where its length is free.
    """
    cases = {"batch of 1": real[:1], f"batch of {LARGE_BATCH}": np.resize(real, _batch(real))}
    if data.columns:
        cases.update(_rows(data, real))
    elif data.kind == "text":
        cases.update(_texts(data))
    else:
        nothing = np.zeros_like(real[:1])
        cases["zeros"] = nothing
        cases["full scale"] = np.full_like(nothing, data.scale)
        if real.ndim > 1 and _has_free_length(signature):
            cases["one step"] = real[:1, :1]
            cases["twice as long"] = np.concatenate([real[:1], real[:1]], axis=1)
    return cases


def _batch(real: NDArray[Any]) -> tuple[int, ...]:
    return (LARGE_BATCH, *real.shape[1:])


def _has_free_length(signature: Signature) -> bool:
    shape = signature.inputs[0].shape
    return len(shape) > 1 and shape[1] is None


def _texts(data: Dataset) -> dict[str, NDArray[Any]]:
    texts = sorted((str(text) for text in data.validation.features), key=len)
    return {
        "empty text": _objects(""),
        "shortest text": _objects(texts[0]),
        "longest text": _objects(texts[-1]),
        f"{_MANY_WORDS:,} words": _objects(" ".join(["a", *texts[-1].split()][-1:] * _MANY_WORDS)),
        "unknown words": _objects(f"{_UNSEEN} {_UNSEEN}"),
    }


def _objects(*texts: str) -> NDArray[Any]:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


def _rows(data: Dataset, real: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return rows of a table (or of pairs) with one column after another out of the ordinary."""
    known = data.train.sample(10_000).features
    numbers = [name for name in data.columns if known.dtype[name].kind == "f"]
    names = [name for name in data.columns if name not in numbers]
    cases = {}
    if numbers:
        cases["zeros"] = _with(real, dict.fromkeys(numbers, 0.0))
        cases["least values"] = _with(real, {name: _least(known[name]) for name in numbers})
        cases["greatest values"] = _with(real, {name: -_least(-known[name]) for name in numbers})
        cases["missing numbers"] = _with(real, dict.fromkeys(numbers, np.nan))
    if names:
        cases["unseen names"] = _with(real, dict.fromkeys(names, _UNSEEN))
        cases["empty names"] = _with(real, dict.fromkeys(names, ""))
        cases["first and last names"] = np.concatenate(
            [
                _with(real, {name: end(map(str, known[name])) for name in names})
                for end in (min, max)
            ]
        )
    return cases


def _least(values: NDArray[Any]) -> float:
    present = values[~np.isnan(values)]
    return float(present.min()) if len(present) else 0.0


def _with(real: NDArray[Any], values: dict[str, Any]) -> NDArray[Any]:
    row = real[:1].copy()
    for name, value in values.items():
        row[name] = value
    return row
