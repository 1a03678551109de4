"""The Open Inference Protocol's binary tensor extension: arrays as bytes after the JSON.

Numbers are little-endian and in row-major order; each string is its length in four bytes and its
bytes. Source: Triton's ``docs/protocol/extension_binary_data.md``.
"""

from __future__ import annotations

import math
import struct
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError
from agiwb.serving.rest_json.strings import as_bytes, string_array

_LENGTH = struct.Struct("<I")


def read_binary(raw: memoryview, dtype: str, shape: tuple[int, ...], tensor: str) -> NDArray[Any]:
    """Return the array that ``raw`` holds.

    Numbers are not copied if their bytes are aligned: the array then is read-only, and keeps the
    request's body alive.

    Raises:
        InputError: There are more or fewer bytes than ``shape`` needs.
    """
    if dtype == "object":
        values = _read_strings(raw, tensor)
        if len(values) != math.prod(shape):
            raise InputError(
                f"The input {tensor} has {len(values)} strings in its binary data, but its shape "
                f"{list(shape)} needs {math.prod(shape)}."
            )
        return string_array(values).reshape(shape)
    kind = np.dtype(dtype)
    if len(raw) != math.prod(shape) * kind.itemsize:
        raise InputError(
            f"The input {tensor} has {len(raw)} bytes of binary data, but its shape {list(shape)} "
            f"needs {math.prod(shape) * kind.itemsize}."
        )
    if dtype == "bool" and len(raw) and np.frombuffer(raw, np.uint8).max() > 1:
        raise InputError(f"The input {tensor} has truth values other than the bytes 0 and 1.")
    array = np.frombuffer(raw, kind).reshape(shape)
    if sys.byteorder == "big":
        return array.byteswap()
    return array if array.flags.aligned else array.copy()


def write_binary(array: NDArray[Any]) -> bytes:
    """Return the bytes of ``array``."""
    if array.dtype.kind in "OSU":
        values = [as_bytes(value) for value in array.ravel().tolist()]
        return b"".join(_LENGTH.pack(len(value)) + value for value in values)
    if array.dtype.isnative and sys.byteorder == "little":
        return array.tobytes()
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _read_strings(raw: memoryview, tensor: str) -> list[bytes]:
    values = []
    place = 0
    while place < len(raw):
        if place + _LENGTH.size > len(raw):
            raise _cut_short(tensor, place)
        (length,) = _LENGTH.unpack_from(raw, place)
        place += _LENGTH.size
        if place + length > len(raw):
            raise _cut_short(tensor, place)
        values.append(bytes(raw[place : place + length]))
        place += length
    return values


def _cut_short(tensor: str, place: int) -> InputError:
    return InputError(
        f"The binary data of the input {tensor} end within a string, at byte {place}.",
        "Give each string as its length, four bytes with the lowest first, and its bytes.",
    )
