"""The fields of a protobuf message whose description no package at hand has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

Buffer = TypeVar("Buffer", bytes, memoryview)

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(message: Buffer) -> Iterator[tuple[int, int | Buffer]]:
    """Yield number and value of each field: an unsigned integer, or the bytes of what is nested.

    Of a ``memoryview`` nothing is copied.

    Raises:
        ValueError: The bytes are no message.
    """
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = varint(message, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind, -1)
        if length < 0 or at + length > len(message):
            raise ValueError(f"field {number} does not fit")
        content, at = message[at : at + length], at + length
        yield number, content if kind == _BYTES else int.from_bytes(content, "little")


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """Return the number of seven bits a byte that starts at ``at``, and where it ends.

    Raises:
        ValueError: It does not end.
    """
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            break
    raise ValueError("a number does not end")
