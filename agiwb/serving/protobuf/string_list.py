"""Strings in a ``tensor_content``: the length of each as a varint, then all their bytes.

The layout is that of TensorFlow's ``port::EncodeStringList``.
"""

from __future__ import annotations

from agiwb.errors import InputError

_LAST_SHIFT = 63


def read_string_list(content: bytes, count: int, name: str = "") -> list[bytes]:
    """Return the ``count`` strings.

    Raises:
        InputError: The content does not hold exactly that many.
    """
    if count > len(content):  # a string takes at least the byte of its length
        raise _misfit(content, count, name)
    lengths, place = [], 0
    for _ in range(count):
        length, shift = 0, 0
        while True:
            if place >= len(content) or shift > _LAST_SHIFT:
                raise _misfit(content, count, name)
            byte = content[place]
            place += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if place + sum(lengths) != len(content):
        raise _misfit(content, count, name)
    strings = []
    for length in lengths:
        strings.append(content[place : place + length])
        place += length
    return strings


def _misfit(content: bytes, count: int, name: str) -> InputError:
    return InputError(
        f"The {len(content)} bytes of tensor_content of {name!r} are not {count} strings.",
        "Send strings in string_val.",
    )
