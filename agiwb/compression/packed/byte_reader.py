"""Reading bytes that may be damaged: every length is checked before anything is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError

_LONGEST_VARINT = 9
"""Bytes; seven bits each make 63, which fits every size that NumPy can have."""


def damaged(what: str) -> InputError:
    """Return the error for a packed model that is not as it should be."""
    return InputError(f"The packed model is damaged: {what}.", "Copy or pack it once more.")


def varint(number: int) -> bytes:
    """Return ``number`` (>= 0), seven bits a byte, the lowest first; the last has no top bit."""
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    content.append(number)
    return bytes(content)


class ByteReader:
    """Takes ``content`` from its start, piece by piece.

    All methods raise InputError if less is left than they should take.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        self._content = memoryview(content)
        self._position = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._content) - self._position

    def take(self, count: int) -> memoryview:
        """Return the next ``count`` bytes."""
        if count > self.left:
            raise damaged(f"{count} bytes should follow, and only {self.left} do")
        start = self._position
        self._position += count
        return self._content[start : self._position]

    def byte(self) -> int:
        """Return the next byte as a number, 0 to 255."""
        return self.take(1)[0]

    def varint(self) -> int:
        """Return the next number as ``varint`` writes it."""
        number = 0
        for place in range(_LONGEST_VARINT):
            byte = self.byte()
            number |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return number
        raise damaged("a number has more than 63 bits")

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        """Return the next ``count`` numbers of a NumPy ``dtype``, read-only."""
        size = np.dtype(dtype).itemsize * count
        return np.frombuffer(self.take(size), dtype)

    def finish(self, what: str) -> None:
        """Raise InputError if anything is left of ``what``."""
        if self.left:
            raise damaged(f"{self.left} bytes too many follow {what}")
