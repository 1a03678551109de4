"""One JSON value and one array: nested lists of equal length to a tensor of a given type."""

from __future__ import annotations

import array
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import TensorSpec
from agiwb.errors import InputError
from agiwb.serving.rest_json.misfits import MOST_DIMENSIONS, type_name
from agiwb.serving.rest_json.strings import decode_base64, string_array
from agiwb.serving.status import Code, Refusal

# Python's typed arrays refuse what the element type cannot hold, and strings and null, faster than
# NumPy guesses a type. A double beyond float32's range becomes infinite, as in C.
_TYPE_CODES = {
    "float16": "d",
    "float32": "f",
    "float64": "d",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
}

Shape = tuple[int, ...]


def may_hold_literals(body: bytes) -> bool:
    """Return whether ``true`` or ``false`` may be in ``body``: they would pass as 1 and 0.

    Looking for the letters ``u`` and ``l`` first is many times faster, and most bodies of numbers
    have neither.
    """
    return (b"u" in body and b"true" in body) or (b"l" in body and b"false" in body)


def read_array(value: Any, dtype: str, literals: bool) -> NDArray[Any] | None:
    """Return ``value`` as a writable array of ``dtype``, or None if it is no such tensor.

    Args:
        value: A number, a string, a truth value, or nested lists of them.
        dtype: NumPy's name; ``object`` for strings, see ``strings``.
        literals: Whether truth values may be among what should be numbers.

    Raises:
        InputError: A string is not the base64 that it says it is.
        Refusal: UNIMPLEMENTED, there is no JSON for ``dtype``.
    """
    code = _TYPE_CODES.get(dtype)
    # Characters of a string among the lists are no numbers; they would pass as strings.
    nested = _flatten(value, strict=code is None)
    if nested is None:
        return None
    flat, shape = nested
    if code is not None:
        return None if literals and bool in map(type, flat) else _numbers(flat, shape, code, dtype)
    if dtype == "object":
        return _strings(flat, shape)
    if dtype == "bool":
        return np.array(flat, bool).reshape(shape) if {bool}.issuperset(map(type, flat)) else None
    raise Refusal(
        Code.UNIMPLEMENTED, f"Conversion of JSON values to type: {type_name(dtype)} is not offered."
    )


def misfit_of_range(spec: TensorSpec) -> InputError:
    """Return what to raise for numbers that look right and still cannot be held."""
    return InputError(f"A value of {spec.name} is outside what {type_name(spec.dtype)} can hold.")


def _flatten(value: Any, strict: bool) -> tuple[list[Any], Shape] | None:
    """Return the values in order, and the shape of their nesting; None if they have none.

    Only the first of the values tells that they are not lists. With ``strict``, all entries of a
    list are lists if the first is; without, some may be strings or objects.
    """
    if type(value) is not list:
        return [value], ()
    shape = [len(value)]
    while value and type(value[0]) is list:
        size = len(value[0])
        if len(value) > 1:
            if strict and not {list}.issuperset(map(type, value)):
                return None
            try:
                if len(set(map(len, value))) > 1:
                    return None
            except TypeError:  # a number among the lists
                return None
        shape.append(size)
        value = list(chain.from_iterable(value)) if len(value) > 1 else value[0]
    return (value, tuple(shape)) if len(shape) <= MOST_DIMENSIONS else None


def _numbers(flat: list[Any], shape: Shape, code: str, dtype: str) -> NDArray[Any] | None:
    try:
        values = array.array(code, flat)
    except (TypeError, OverflowError):
        return None
    kind = np.dtype(np.float64 if dtype == "float16" else dtype)
    vector = np.frombuffer(values, kind) if values else np.empty(0, kind)
    if dtype == "float16":
        with np.errstate(over="ignore"):
            vector = vector.astype(np.float16)
    return vector if len(shape) == 1 else vector.reshape(shape)


def _strings(flat: list[Any], shape: Shape) -> NDArray[Any] | None:
    if not {str, dict}.issuperset(map(type, flat)):
        return None
    values = [entry if type(entry) is str else decode_base64(entry) for entry in flat]
    return string_array(values).reshape(shape)
