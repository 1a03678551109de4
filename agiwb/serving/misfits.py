"""What is wrong with a JSON value that should have been a tensor, in TensorFlow Serving's words.

Only bodies that NumPy could not read come here, so the walk over each value may be slow.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agiwb.errors import InputError
from agiwb.serving.json_text import quote_json

_MOST_DIMENSIONS = 64
"""NumPy's own limit."""
_TYPE_NAMES = {"float32": "float", "float64": "double", "float16": "half", "object": "string"}
"""TensorFlow's names of element types, where NumPy's differ."""
_JSON_NAMES = {list: "Array", dict: "Object", str: "String", type(None): "Null"}

Shape = tuple[int, ...]


def check_rows(rows: list[Any], dtype: str) -> None:
    """Raise InputError unless every row is a tensor of ``dtype`` with the first row's shape."""
    first: Shape | None = None
    for place, row in enumerate(rows):
        try:
            check_value(row, dtype)
            shape = _shape(row)
            _check_same(shape if first is None else first, shape)
        except InputError as error:
            raise InputError(
                f"Failed to process element: {place} of 'instances' list. "
                f"Error: INVALID_ARGUMENT: {error}"
            ) from None
        first = shape


def check_value(value: Any, dtype: str) -> None:
    """Raise InputError unless ``value`` is a tensor of ``dtype``: nested lists of equal length."""
    shape = _shape(value)
    if len(shape) > _MOST_DIMENSIONS:
        raise InputError(
            f"Encountered list at unexpected level: {len(shape)} expected < {_MOST_DIMENSIONS}"
        )
    _check_level(value, shape, 0, dtype)


def _check_same(expected: Shape, shape: Shape) -> None:
    if math.prod(expected) != math.prod(shape):
        raise InputError(
            f"Expecting tensor size: {math.prod(expected)} but got: {math.prod(shape)}"
        )
    if expected != shape:
        raise InputError(f"Expecting shape {_bracket(expected)} but got: {_bracket(shape)}")


def _shape(value: Any) -> Shape:
    """Return the shape that the first elements suggest."""
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(sizes)


def _check_level(value: Any, shape: Shape, level: int, dtype: str) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise InputError(
                f"JSON Value: {quote_json(value)} found at incorrect level: {level + 1} in the "
                f"JSON DOM. Expected at level: {len(shape)}"
            )
        if not _is_of(value, dtype):
            raise InputError(
                f"JSON Value: {quote_json(value)} Type: {_json_name(value)} is not of expected "
                f"type: {_TYPE_NAMES.get(dtype, dtype)}"
            )
        return
    if level >= len(shape):
        raise InputError(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise InputError(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for entry in value:
        _check_level(entry, shape, level + 1, dtype)


def _is_of(value: Any, dtype: str) -> bool:
    kind = np.dtype(dtype).kind
    if kind == "b" or isinstance(value, bool):
        return kind == "b" and isinstance(value, bool)
    if kind in "iu":
        return isinstance(value, int)
    return isinstance(value, str if kind == "O" else int | float)


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "True" if value else "False"
    return _JSON_NAMES.get(type(value), "Number")


def _bracket(shape: Shape) -> str:
    return f"[{','.join(map(str, shape))}]"
