"""TFRecord files without TensorFlow: records framed by their length and two checksums.

A record is its length (u64), the masked CRC-32C of those eight bytes (u32), the data, and the
masked CRC-32C of the data (u32), all little-endian. The mask is TensorFlow's
(``core/lib/hash/crc32c.h``): rotate right by 15 bits, then add 0xa282ead8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError
from agiwb.runs.files import write_atomic

_LENGTH, _CHECK = struct.Struct("<Q"), struct.Struct("<I")
_HEAD_BYTES = _LENGTH.size + _CHECK.size
_ALL = 0xFFFFFFFF
_REFLECTED_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_LANES = 512
"""Pieces of long data that are gone through side by side, a byte of each at a time."""


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a TFRecord file, each checked.

    Raises:
        InputError: The file is cut short, or a checksum does not fit.
    """
    with path.open("rb") as stream:
        number = 0
        while head := stream.read(_HEAD_BYTES):
            whole = len(head) == _HEAD_BYTES
            if not whole or _check_of(head[: _LENGTH.size]) != head[_LENGTH.size :]:
                raise _damaged(path, number)
            (length,) = _LENGTH.unpack_from(head)
            data, check = stream.read(length), stream.read(_CHECK.size)
            if len(data) != length or _check_of(data) != check:
                raise _damaged(path, number)
            yield data
            number += 1


def write_records(path: Path, records: Iterable[bytes]) -> None:
    """Write a TFRecord file, whole or not at all."""
    frames = []
    for data in records:
        length = _LENGTH.pack(len(data))
        frames += [length, _check_of(length), data, _check_of(data)]
    write_atomic(path, b"".join(frames))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of ``data``.

    Long data is cut into lanes whose registers advance together in NumPy; a lane's register is
    then carried over the lanes after it, which is linear over GF(2) and so four table look-ups.
    """
    table = _byte_table()
    register = _ALL
    length = len(data) // _LANES
    if length >= _LANES:
        lanes = np.frombuffer(data, np.uint8, _LANES * length).reshape(_LANES, length)
        registers = np.zeros(_LANES, np.uint32)
        wide = np.array(table, np.uint32)
        for column in np.ascontiguousarray(lanes.T):
            registers = wide[(registers ^ column) & 0xFF] ^ (registers >> np.uint32(8))
        carried = _carry_tables(length)
        for lane in registers.tolist():
            register = _carry(carried, register) ^ lane
        data = data[_LANES * length :]
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ _ALL


def _check_of(data: bytes) -> bytes:
    crc = crc32c(data)
    return _CHECK.pack((((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ALL)


@cache
def _byte_table() -> tuple[int, ...]:
    """Return what eight zero bits make of each register below 256."""
    table = []
    for register in range(256):
        for _ in range(8):
            register = (register >> 1) ^ (_REFLECTED_POLYNOMIAL * (register & 1))  # noqa: PLW2901
        table.append(register)
    return tuple(table)


def _carry_tables(length: int) -> NDArray[np.uint32]:
    """Return what ``length`` zero bytes make of each byte of a register, by place: (4, 256)."""
    wide = np.array(_byte_table(), np.uint32)
    places = np.arange(4, dtype=np.uint32)[:, None] * np.uint32(8)
    registers = np.arange(256, dtype=np.uint32)[None, :] << places
    for _ in range(length):
        registers = wide[registers & np.uint32(0xFF)] ^ (registers >> np.uint32(8))
    return registers


def _carry(tables: NDArray[np.uint32], register: int) -> int:
    carried = 0
    for place in range(4):
        carried ^= int(tables[place, (register >> (8 * place)) & 0xFF])
    return carried


def _damaged(path: Path, number: int) -> InputError:
    return InputError(
        f"The file {path} is damaged at its record {number + 1}.",
        "Please verify your warmup data is in TFRecord format.",
    )
