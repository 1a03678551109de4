"""Messages between a runtime and its child process: a JSON header, then the arrays' bytes.

A frame is ``<u32 header bytes><u64 body bytes>``, the header, and the body. The header names each
array with its type and shape; the body holds the arrays one after another as they lie in memory,
each beginning at a multiple of 8 bytes.
Texts and bytes (type ``object``) are their lengths as u64, then what they hold; texts come back as
UTF-8 bytes, which is what TensorFlow works with.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from agiwb.runtimes.runtime import Tensors

_SIZES = struct.Struct("<IQ")
_LENGTH = np.dtype("<u8")
_ALIGNMENT = 8
_MOST_PARTS = 64
"""Buffers in one system call; the least that POSIX grants is 16, Linux grants 1,024."""

Header = dict[str, Any]


def send(connection: socket.socket, header: Header, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Send one frame; the caller holds the connection's lock for sending.

    Raises:
        OSError: The other side is gone.
    """
    described, body = [], []
    for name, array in tensors.items():
        parts = _parts_of(array)
        size = sum(map(len, parts))
        described.append((name, _type_name(array), array.shape, size))
        body += [*parts, memoryview(bytes(-size % _ALIGNMENT))]
    head = orjson.dumps({**header, "tensors": described})
    sizes = _SIZES.pack(len(head), sum(map(len, body)))
    _send_all(connection, [memoryview(sizes + head), *body])


def receive(connection: socket.socket) -> tuple[Header, Tensors] | None:
    """Return the next frame, its arrays writable and the caller's own; None at the end.

    Raises:
        OSError: The connection broke.
    """
    sizes = _receive_exactly(connection, _SIZES.size)
    if sizes is None:
        return None
    head_bytes, body_bytes = _SIZES.unpack(sizes)
    head = _receive_exactly(connection, head_bytes)
    body = _receive_exactly(connection, body_bytes)
    if head is None or body is None:
        return None
    header = orjson.loads(head)
    tensors, start = {}, 0
    for name, type_name, shape, size in header.pop("tensors"):
        tensors[name] = _array_of(memoryview(body)[start : start + size], type_name, shape)
        start += size + -size % _ALIGNMENT
    return header, tensors


def _type_name(array: NDArray[Any]) -> str:
    return "object" if array.dtype.kind in "OSU" else array.dtype.name


def _parts_of(array: NDArray[Any]) -> list[memoryview]:
    if array.dtype.kind in "OSU":
        texts = [_as_bytes(value) for value in array.ravel().tolist()]
        lengths = np.fromiter(map(len, texts), _LENGTH, len(texts))
        return [memoryview(lengths.tobytes()), memoryview(b"".join(texts))]
    plain = np.ascontiguousarray(array).reshape(-1)
    # Half-precision and other types that buffers do not know go as bytes.
    return [plain.view(np.uint8).data] if plain.size else []


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _array_of(body: memoryview, type_name: str, shape: list[int]) -> NDArray[Any]:
    if type_name != "object":
        return np.frombuffer(body, np.dtype(type_name)).reshape(shape)
    count = int(np.prod(shape, dtype=np.int64))
    ends = np.cumsum(np.frombuffer(body[: count * _LENGTH.itemsize], _LENGTH)).tolist()
    texts = body[count * _LENGTH.itemsize :]
    array = np.empty(count, object)
    start = 0
    for index, end in enumerate(ends):
        array[index] = bytes(texts[start:end])
        start = end
    return array.reshape(shape)


def _send_all(connection: socket.socket, parts: list[memoryview]) -> None:
    waiting = [part for part in parts if len(part)]
    while waiting:
        sent = connection.sendmsg(waiting[:_MOST_PARTS])
        while waiting and sent >= len(waiting[0]):
            sent -= len(waiting.pop(0))
        if sent:
            waiting[0] = waiting[0][sent:]


def _receive_exactly(connection: socket.socket, count: int) -> bytearray | None:
    """Return ``count`` bytes, or None if the other side ends before."""
    content = bytearray(count)
    rest = memoryview(content)
    while rest:
        received = connection.recv_into(rest)
        if received == 0:
            return None
        rest = rest[received:]
    return content
