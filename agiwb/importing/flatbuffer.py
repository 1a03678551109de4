"""Reading tables out of a flatbuffer, with every offset checked."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from agiwb.importing.protobuf_fields import MalformedError

_MOST_ENTRIES = 10_000_000


@dataclass(frozen=True)
class Table:
    """A table: where its slots lie, by the offsets that its vtable gives."""

    content: memoryview
    position: int
    slots: tuple[int, ...]

    def number(self, slot: int, kind: str) -> int:
        """Return the integer in ``slot``, which is of struct's ``kind``; 0 if it is left out."""
        place = self._place(slot)
        return int(_unpack(self.content, place, kind)) if place else 0

    def numbers(self, slot: int, kind: str) -> list[int]:
        """Return a vector of integers."""
        start, count = self._vector(slot, struct.calcsize(f"<{kind}"))
        return list(struct.unpack_from(f"<{count}{kind}", self.content, start)) if count else []

    def bytes_of(self, slot: int) -> memoryview:
        """Return a vector of bytes."""
        start, count = self._vector(slot, 1)
        return self.content[start : start + count]

    def text(self, slot: int) -> str:
        """Return a text; what is not UTF-8 in it is replaced."""
        return bytes(self.bytes_of(slot)).decode("utf-8", "replace")

    def tables(self, slot: int) -> list[Table]:
        """Return a vector of tables."""
        start, count = self._vector(slot, 4)
        places = (start + 4 * index for index in range(count))
        return [_table(self.content, place + _unpack(self.content, place, "I")) for place in places]

    def _place(self, slot: int) -> int:
        offset = self.slots[slot] if slot < len(self.slots) else 0
        return self.position + offset if offset else 0

    def _vector(self, slot: int, size: int) -> tuple[int, int]:
        place = self._place(slot)
        if not place:
            return 0, 0
        start = place + _unpack(self.content, place, "I")
        count = _unpack(self.content, start, "I")
        if count > _MOST_ENTRIES and size > 1:
            raise MalformedError("it holds a list that is too long")
        if start + 4 + count * size > len(self.content):
            raise MalformedError("it ends too early")
        return start + 4, count


def root_table(content: memoryview, identifier: bytes) -> Table:
    """Return the first table of a flatbuffer.

    Raises:
        MalformedError: It is none with that identifier, or ends too early.
    """
    if bytes(content[4:8]) != identifier:
        raise MalformedError("it is not of the kind that its name says")
    return _table(content, _unpack(content, 0, "I"))


def _table(content: memoryview, position: int) -> Table:
    start = position - _unpack(content, position, "i")
    size, inline = _unpack(content, start, "H"), _unpack(content, start + 2, "H")
    if size < 4 or size % 2 or start + size > len(content) or position + inline > len(content):
        raise MalformedError("it is damaged, or ends too early")
    slots = struct.unpack_from(f"<{(size - 4) // 2}H", content, start + 4)
    if any(slot >= inline for slot in slots if slot):
        raise MalformedError("it is damaged, or ends too early")
    return Table(content, position, slots)


def _unpack(content: memoryview, position: int, kind: str) -> int:
    if position < 0 or position + struct.calcsize(f"<{kind}") > len(content):
        raise MalformedError("it is damaged, or ends too early")
    (value,) = struct.unpack_from(f"<{kind}", content, position)
    return int(value)
