"""What is wrong with a JSON value that should have been a tensor, in TensorFlow Serving's words.

Only bodies that could not be read at once come here, so the walk over each value may be slow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agiwb.artifacts.signature import TensorSpec
from agiwb.errors import InputError
from agiwb.serving.rest_json.json_text import quote_json
from agiwb.serving.rest_json.strings import decode_base64, is_base64

MOST_DIMENSIONS = 64
"""NumPy's own limit."""
_MOST_PLACES = 1 << 48
"""Beyond every memory, and below where NumPy's sizes in bytes overflow."""
_TYPE_NAMES = {"float32": "float", "float64": "double", "float16": "half", "object": "string"}
"""TensorFlow's names of element types, where NumPy's differ."""
_JSON_NAMES = {list: "Array", dict: "Object", str: "String", type(None): "Null"}

Shape = tuple[int, ...]


def type_name(dtype: str) -> str:
    """Return TensorFlow's name of the element type that NumPy calls ``dtype``."""
    return _TYPE_NAMES.get(dtype, dtype)


def is_possible(shape: Shape) -> bool:
    """Return whether an array may have ``shape``, whose sizes are 0 or more.

    NumPy refuses some sizes even beside a 0, which leaves the array without a value.
    """
    return len(shape) <= MOST_DIMENSIONS and math.prod(filter(None, shape)) <= _MOST_PLACES


def is_named_row(row: Any) -> bool:
    """Return whether ``row`` names its tensors, rather than being one."""
    return isinstance(row, dict) and not is_base64(row)


def check_rows(rows: Sequence[Any], specs: Sequence[TensorSpec]) -> None:
    """Raise InputError unless every row is a tensor, or names one for each input, like the first.

    Rows that are not objects are values of the only input.
    """
    named = is_named_row(rows[0])
    dtypes = {spec.name: spec.dtype for spec in specs}
    first: dict[str, Shape] = {}
    for place, row in enumerate(rows):
        if is_named_row(row) != named:
            wanted, got = ("object", "list") if named else ("value/list", "object")
            raise InputError(f"Expecting {wanted} but got {got} at item {place} of input list")
        if named:
            _check_named_row(place, row, dtypes, first)
            continue
        try:
            _check_like_first(row, specs[0].name, dtypes, first)
        except InputError as error:
            raise InputError(
                f"Failed to process element: {place} of 'instances' list. "
                f"Error: INVALID_ARGUMENT: {error}"
            ) from None


def check_value(value: Any, dtype: str) -> Shape:
    """Return the shape of ``value``, a tensor of ``dtype``: nested lists of equal length.

    Raises:
        InputError: It is none.
    """
    shape = _shape(value)
    if len(shape) > MOST_DIMENSIONS:
        raise InputError(
            f"Encountered list at unexpected level: {len(shape)} expected < {MOST_DIMENSIONS}"
        )
    _check_level(value, shape, 0, dtype)
    return shape


def _check_named_row(
    place: int, row: Mapping[str, Any], dtypes: Mapping[str, str], first: dict[str, Shape]
) -> None:
    for name, value in row.items():
        try:
            _check_like_first(value, name, dtypes, first)
        except InputError as error:
            raise InputError(
                f"Failed to process element: {place} key: {name} of 'instances' list. "
                f"Error: INVALID_ARGUMENT: {error}"
            ) from None
    if row.keys() != dtypes.keys():
        raise InputError(
            f"Failed to process element: {place} of 'instances' list. JSON object: "
            f"{quote_json(row)} keys must be equal to: {','.join(sorted(dtypes))}"
        )


def _check_like_first(
    value: Any, name: str, dtypes: Mapping[str, str], first: dict[str, Shape]
) -> None:
    """Raise InputError unless ``value`` is a tensor with the shape that the first row had."""
    if name not in dtypes:
        raise InputError(f"JSON object: does not have named input: {name}")
    shape = check_value(value, dtypes[name])
    expected = first.setdefault(name, shape)
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
        if isinstance(value, dict) and dtype == "object":
            decode_base64(value)
        elif not _is_of(value, dtype):
            raise InputError(
                f"JSON Value: {quote_json(value)} Type: {json_name(value)} is not of expected "
                f"type: {type_name(dtype)}"
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
        limits = np.iinfo(dtype)
        return isinstance(value, int) and limits.min <= value <= limits.max
    return isinstance(value, str if kind == "O" else int | float)


def json_name(value: Any) -> str:
    """Return what TensorFlow Serving calls the JSON type of ``value``."""
    if isinstance(value, bool):
        return "True" if value else "False"
    return _JSON_NAMES.get(type(value), "Number")


def _bracket(shape: Shape) -> str:
    return f"[{','.join(map(str, shape))}]"
