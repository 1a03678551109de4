"""JSON as TensorFlow Serving speaks it: with the tokens NaN, Infinity and -Infinity.

orjson does the work; the standard library, eight times slower, takes over for those tokens only.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from agiwb.errors import InputError

_TOKENS = (b"NaN", b"Infinity")
_NULL = b"null"
_SHOWN_CHARACTERS = 256
"""TensorFlow Serving, too, cuts the values it quotes in errors to this length."""
_ORJSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def load_json(text: bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        InputError: It is not one, in TensorFlow Serving's words.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if not any(token in text for token in _TOKENS):
            raise _parse_error(text, error) from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _parse_error(text, error) from None


def dump_json(document: Any) -> bytes:
    """Return ``document``, which may hold NumPy arrays, as compact JSON.

    A float32 is written with the fewest digits that tell it from its neighbours.
    """
    text = orjson.dumps(document, default=_plain, option=_ORJSON_OPTIONS)
    if _NULL not in text:
        return text
    # Perhaps a NaN or an infinity, which orjson writes as null.
    return json.dumps(document, default=_plain, separators=(",", ":")).encode()


def quote_json(value: Any) -> str:
    """Return ``value`` for an error message: as JSON, cut to 256 characters."""
    try:
        text = dump_json(value).decode()
    except (TypeError, ValueError, RecursionError):  # nested too deeply, or a giant integer
        return "..."
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _plain(value: Any) -> Any:
    """Return an array as lists; called for what the encoder does not know."""
    if isinstance(value, np.ndarray):
        return _shortest(value).tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _shortest(array: NDArray[Any]) -> NDArray[Any]:
    """Return small floats as the doubles with the same shortest digits: 0.2, not 0.20000000298."""
    if array.dtype.kind == "f" and array.dtype.itemsize < np.dtype(np.float64).itemsize:
        return array.astype(np.str_).astype(np.float64)
    return array


def _parse_error(text: bytes, error: Exception) -> InputError:
    if not text:
        return InputError("JSON Parse error: The document is empty")
    offset, reason = getattr(error, "pos", 0), getattr(error, "msg", type(error).__name__)
    return InputError(f"JSON Parse error: Invalid value. at offset: {offset} ({reason})")
