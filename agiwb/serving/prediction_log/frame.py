r"""Frames: what a segment is made of, so that damage is noticed and does not spread.

A frame, little-endian::

    4 bytes  magic, F1 50 4C 0A
    u32      bytes of the payload
    u32      CRC-32 of the payload (zlib's)
    payload  see payload.py
    u32      bytes of the whole frame, for reading backwards

The end of a segment may be torn: by a reader that comes in the middle of a write, or by a power
cut. Damage before the end is a fault of the disk; reading goes on at the next frame that is whole.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator

from zlib_ng.zlib_ng import crc32  # zlib's takes four times as long

from agiwb.serving.prediction_log.payload import encode_prediction
from agiwb.serving.prediction_log.prediction import Prediction

MAGIC = b"\xf1PL\n"

_HEAD = struct.Struct("<4sII")
_TAIL = struct.Struct("<I")
_AROUND = _HEAD.size + _TAIL.size
_WINDOW_BYTES = 1 << 16

OnDamage = Callable[[int, int], None]
"""Told the first byte that belongs to no frame, and where the next frame begins."""


def encode_frame(prediction: Prediction) -> bytes:
    """Return one prediction as a frame.

    Raises:
        TypeError, ValueError, struct.error: As ``encode_prediction``.
    """
    payload = encode_prediction(prediction)
    size = len(payload)
    head = _HEAD.pack(MAGIC, size, crc32(payload))
    return b"".join((head, payload, _TAIL.pack(size + _AROUND)))


def read_frames(
    content: memoryview, on_damage: OnDamage | None = None
) -> Iterator[tuple[int, memoryview]]:
    """Yield the offset and the payload of each whole frame, the first one first.

    A torn end is skipped quietly; of damage before it, ``on_damage`` is told.
    """
    place = 0
    while place < len(content):
        payload = payload_at(content, place)
        if payload is None:
            start, place = place, _next_frame(content, place + 1)
            if place < len(content) and on_damage is not None:
                on_damage(start, place)
            continue
        yield place, payload
        place += len(payload) + _AROUND


def read_frames_backwards(
    content: memoryview, on_damage: OnDamage | None = None
) -> Iterator[tuple[int, memoryview]]:
    """Yield the same as ``read_frames``, the last one first.

    Only the frames taken are read, unless the end is torn or something is damaged.
    """
    end = len(content)
    while end > 0:
        start = _start_of_frame_before(content, end)
        payload = None if start is None else payload_at(content, start)
        if start is None or payload is None or start + len(payload) + _AROUND != end:
            frames, whole_to = [], 0
            for place, whole in read_frames(content[:end], on_damage):
                frames.append(place)
                whole_to = place + len(whole) + _AROUND
            if end < len(content) and on_damage is not None:
                on_damage(whole_to, end)
            yield from ((place, _payload(content, place)) for place in reversed(frames))
            return
        yield start, payload
        end = start


def read_payload(descriptor: int, place: int) -> bytes:
    """Return the payload of the whole frame that begins at ``place`` of a file."""
    size = _HEAD.unpack(os.pread(descriptor, _HEAD.size, place))[1]
    return os.pread(descriptor, size, place + _HEAD.size)


def payload_at(content: memoryview, place: int) -> memoryview | None:
    """Return the payload of the frame that begins at ``place``, or None if no whole one does."""
    if place + _AROUND > len(content):
        return None
    magic, size, checksum = _HEAD.unpack_from(content, place)
    if magic != MAGIC or place + size + _AROUND > len(content):
        return None
    payload = _payload(content, place)
    tail = _TAIL.unpack_from(content, place + _HEAD.size + size)[0]
    return payload if tail == size + _AROUND and crc32(payload) == checksum else None


def _payload(content: memoryview, place: int) -> memoryview:
    size = _HEAD.unpack_from(content, place)[1]
    return content[place + _HEAD.size : place + _HEAD.size + size]


def _start_of_frame_before(content: memoryview, end: int) -> int | None:
    if end < _AROUND:
        return None
    size: int = _TAIL.unpack_from(content, end - _TAIL.size)[0]
    start = end - size
    return start if size >= _AROUND and start >= 0 else None


def _next_frame(content: memoryview, place: int) -> int:
    """Return where the first whole frame from ``place`` on begins, or the end."""
    while place + _AROUND <= len(content):
        window = bytes(content[place : place + _WINDOW_BYTES])
        found = window.find(MAGIC)
        while found >= 0:
            if payload_at(content, place + found) is not None:
                return place + found
            found = window.find(MAGIC, found + 1)
        # A magic may lie across the window's end.
        place += _WINDOW_BYTES - len(MAGIC) + 1
    return len(content)
