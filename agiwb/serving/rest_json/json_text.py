"""JSON as TensorFlow Serving speaks it: with the tokens NaN, Infinity and -Infinity.

orjson does the work; the standard library, eight times slower, takes over for those tokens, and for
what may follow a document. A large document is read, and a large array written, by ``large_json``.
"""

from __future__ import annotations

import codecs
import json
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from agiwb.errors import InputError
from agiwb.serving.rest_json.large_json import LARGE, dump_in_pieces, load_large
from agiwb.serving.rest_json.lenient_json import load_leniently
from agiwb.serving.rest_json.limits import (
    DEFAULT_LIMITS,
    PARSER_LEVELS,
    Limits,
    check_limits,
    too_deep,
)

_NULL = b"null"
_TOKENS = {"nan": b"NaN", "inf": b"Infinity", "-inf": b"-Infinity"}
_SHOWN_BYTES = 256
_ORJSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_TOO_DEEP = "depth limit"
_TRAILING = "after document"


def load_json(text: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Return the value of the JSON document that ``text`` begins with.

    Like TensorFlow Serving's parser, it ignores a byte order mark and what follows the document.

    Raises:
        InputError: It is not one, in TensorFlow Serving's words, or is beyond ``limits``.
    """
    check_limits(text, limits)
    try:
        return orjson.loads(text) if len(text) < LARGE else load_large(text)
    except orjson.JSONDecodeError as error:
        if _TOO_DEEP in error.msg:
            raise too_deep(PARSER_LEVELS) from None
        lenient = b"NaN" in text or b"Inf" in text or _TRAILING in error.msg
        if not lenient and not text.startswith(codecs.BOM_UTF8):
            raise _parse_error(text, error) from None
    try:
        return load_leniently(text)
    except RecursionError:
        raise too_deep(PARSER_LEVELS) from None
    except ValueError as error:
        raise _parse_error(text, error) from None


def dump_json(document: Any) -> bytes:
    """Return ``document``, which may hold NumPy arrays, as compact JSON.

    A float32 is written with the fewest digits that tell it from its neighbours, and a whole one
    with ``.0``.
    """
    text = orjson.dumps(document, default=_plain, option=_ORJSON_OPTIONS)
    if _NULL not in text:
        return text
    # Perhaps a NaN or an infinity, which orjson writes as null.
    tokens = _tokens_of(document)
    if text.count(_NULL) == len(tokens):  # then there is no other null, not even in a string
        parts = text.split(_NULL)
        return b"".join(chain.from_iterable(zip(parts, (*tokens, b""), strict=True)))
    return json.dumps(document, default=_plain, separators=(",", ":")).encode()


def dump_array(array: NDArray[Any]) -> bytes:
    """Return an array as ``dump_json`` does; other threads have their turn in between."""
    return dump_in_pieces(array, dump_json)


def quote_json(value: Any) -> str:
    """Return ``value`` for an error message: as JSON, cut to 256 bytes."""
    try:
        text = dump_json(value)
    except (TypeError, ValueError, RecursionError):  # nested too deeply, or a giant integer
        return "..."
    if len(text) <= _SHOWN_BYTES:
        return text.decode()
    return f"{text[:_SHOWN_BYTES].decode(errors='ignore')}..."


def _tokens_of(document: Any) -> list[bytes]:
    """Return what the arrays in ``document`` have for numbers that JSON has not, in order."""
    if isinstance(document, dict):
        return [token for value in document.values() for token in _tokens_of(value)]
    if isinstance(document, list):
        return [token for value in document for token in _tokens_of(value)]
    if not isinstance(document, np.ndarray) or document.dtype.kind != "f":
        return []
    return [_TOKENS[str(value)] for value in document[~np.isfinite(document)].tolist()]


def _plain(value: Any) -> Any:
    """Return an array as lists; called for what the encoder does not know."""
    if isinstance(value, np.ndarray):
        return _shortest(value).tolist()
    if isinstance(value, np.generic):
        return _shortest(np.asarray(value)).item()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
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
