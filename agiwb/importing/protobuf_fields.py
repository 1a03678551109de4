"""Reading protobuf's wire format field by field, without a library and without a schema.

What a message holds is seen as any parser would see it, repeated and unknown fields included, and
tensors are stepped over. Source: protobuf's encoding, https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class MalformedError(Exception):
    """Bytes that are no message, said in the words that follow "because"."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number and value: an integer, or the bytes of what has a length.

    Raises:
        MalformedError: The bytes end within a field, or are no fields.
    """
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if not number:
            raise MalformedError("it holds a field without a number")
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _varint(message, position)
        elif kind in {_FIXED32, _FIXED64}:
            size = 4 if kind == _FIXED32 else 8
        else:
            raise MalformedError("it is no protobuf, or a damaged one")
        if size > end - position:
            raise MalformedError("it ends too early")
        yield number, message[position : position + size]
        position += size


def submessages(message: memoryview, number: int) -> Iterator[memoryview]:
    """Yield what the field ``number`` holds, each time it occurs with a length."""
    for found, value in fields(message):
        if found == number and isinstance(value, memoryview):
            yield value


def text(message: memoryview, number: int) -> str:
    """Return the last text of the field ``number``, as a parser takes it; empty if there is none.

    Raises:
        MalformedError: It is not UTF-8.
    """
    last = memoryview(b"")
    for value in submessages(message, number):
        last = value
    return decoded(last)


def decoded(value: memoryview) -> str:
    """Return the text in ``value``; raise MalformedError if it is not UTF-8."""
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("a name in it is not UTF-8") from None


def texts(message: memoryview, number: int) -> list[str]:
    """Return every text of the repeated field ``number``."""
    return [decoded(value) for value in submessages(message, number)]


def numbers(message: memoryview, number: int) -> Iterator[int]:
    """Yield the integers of a repeated field, packed or not, as signed 64-bit ones."""
    for found, value in fields(message):
        if found != number:
            continue
        if isinstance(value, int):
            yield _signed(value)
            continue
        position = 0
        while position < len(value):
            one, position = _varint(value, position)
            yield _signed(one)


def entries(message: memoryview, number: int) -> Iterator[tuple[str, memoryview]]:
    """Yield the keys and values of a map from texts to messages."""
    for entry in submessages(message, number):
        merged = b"".join(submessages(entry, 2))
        yield text(entry, 1), memoryview(merged)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for index in range(_LONGEST_VARINT):
        if position + index >= len(message):
            raise MalformedError("it ends too early")
        byte = message[position + index]
        result |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return result & (2**64 - 1), position + index + 1
    raise MalformedError("it is no protobuf, or a damaged one")
