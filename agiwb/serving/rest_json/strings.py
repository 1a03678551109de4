"""Strings and bytes in JSON: text as it is, other bytes as ``{"b64": "..."}``.

TensorFlow's strings are bytes, ONNX's are text. An array of strings here holds ``str`` where all of
it is text, which TensorFlow takes as UTF-8, so that nothing is lost; else it holds ``bytes``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError
from agiwb.serving.rest_json.json_text import quote_json

BASE64_KEY = "b64"
BYTES_SUFFIX = "_bytes"
"""String outputs whose names end so are written as base64."""


def is_base64(value: Any) -> TypeGuard[dict[str, str]]:
    """Return whether ``value`` is an object of the one key ``b64``, whose value is a string."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(BASE64_KEY), str)


def decode_base64(value: Any) -> bytes:
    """Return the bytes that ``{"b64": "..."}`` stands for; padding may be missing.

    Raises:
        InputError: It is another object, or not base64.
    """
    if not is_base64(value):
        raise InputError(f"JSON Value: {quote_json(value)} not formatted correctly for base64 data")
    text = "".join(value[BASE64_KEY].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("Unable to base64 decode") from None


def string_array(values: Sequence[str | bytes]) -> NDArray[np.object_]:
    """Return a vector of ``values``: all as ``str`` if they are text, else all as ``bytes``."""
    array = np.empty(len(values), object)
    try:
        array[:] = [value if isinstance(value, str) else value.decode() for value in values]
    except UnicodeDecodeError:
        array[:] = [value.encode() if isinstance(value, str) else value for value in values]
    return array


def base64_objects(array: NDArray[Any]) -> NDArray[np.object_]:
    """Return strings, of ``str`` or ``bytes``, as ``{"b64": "..."}`` objects of the same shape."""
    objects = np.empty(array.size, object)
    objects[:] = [
        {BASE64_KEY: base64.b64encode(as_bytes(value)).decode()} for value in array.ravel().tolist()
    ]
    return objects.reshape(array.shape)


def as_bytes(value: str | bytes) -> bytes:
    """Return a string's bytes, text as UTF-8."""
    return value.encode() if isinstance(value, str) else bytes(value)
