"""Which weights are not zero, coded by how dense the rows and columns of a kernel are.

Pruning leaves most weights of an input that never varies, or of a unit that does little, at zero.
A row of the kernel (the weights of one input) therefore belongs to one of a few classes of
density, a column (the weights of one output) likewise, and each bit of the mask is coded with the
density of its pair of classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.packed import rans
from agiwb.compression.packed.byte_reader import ByteReader, damaged
from agiwb.compression.packed.symbols import decode_symbols, encode_symbols, entropy_bits

MOST_CLASSES = 8
_CLASS_COUNTS = (1, 2, 4, 8)
_NARROWEST = 8
"""Bits of a line; naming the class of a shorter one takes as much as it can save."""

_ROUNDS = 12
"""Of sorting rows into classes; it has settled long before."""


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Return ``mask``, ``(rows, columns)``, coded with the classes that make it shortest."""
    rows, columns = mask.shape
    by_row = _classings(mask.sum(axis=1), columns)
    by_column = _classings(mask.sum(axis=0), rows)
    return min(_candidates(mask, by_row, by_column), key=len)


def decode_mask(reader: ByteReader, rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the mask, ``(rows, columns)``, that ``encode_mask`` wrote.

    Raises:
        InputError: The bytes are no such code.
    """
    row_count, column_count = reader.byte(), reader.byte()
    if not (1 <= row_count <= MOST_CLASSES and 1 <= column_count <= MOST_CLASSES):
        raise damaged(f"a mask has {row_count} by {column_count} classes of density")
    row_class = decode_symbols(reader, rows, row_count)
    column_class = decode_symbols(reader, columns, column_count)
    densities = reader.array("<u2", row_count * column_count).astype(np.intp)
    if (densities > rans.WHOLE).any():
        raise damaged("a density is above 1")
    if len(densities) == 1 and densities[0] in {0, rans.WHOLE}:
        return np.full((rows, columns), bool(densities[0]))
    sizes = np.outer(
        np.bincount(row_class, minlength=row_count),
        np.bincount(column_class, minlength=column_count),
    ).ravel()
    rans.require_room(reader, int(sizes[_uncertain(densities)].sum()))
    contexts = _contexts(row_class, column_class, column_count)
    mask = (densities == rans.WHOLE)[contexts]
    uncertain = _uncertain(densities)[contexts]
    coded = contexts[uncertain]
    mask[uncertain] = rans.decode(reader, len(coded), _table(densities), coded).astype(bool)
    matrix: NDArray[np.bool_] = mask.reshape(rows, columns)
    return matrix


def _candidates(
    mask: NDArray[np.bool_], by_row: list[NDArray[np.intp]], by_column: list[NDArray[np.intp]]
) -> Iterable[bytes]:
    """Yield the plain code and the one whose estimated length is the shortest."""
    yield _encode(mask, by_row[0], by_column[0])
    if len(by_row) == len(by_column) == 1:
        return
    pairs = [(row, column) for row in by_row for column in by_column]
    yield _encode(mask, *min(pairs, key=lambda pair: _estimate(mask, *pair)))


def _encode(
    mask: NDArray[np.bool_], row_class: NDArray[np.intp], column_class: NDArray[np.intp]
) -> bytes:
    row_count, column_count = int(row_class.max()) + 1, int(column_class.max()) + 1
    densities = _densities(mask, row_class, column_class)
    contexts = _contexts(row_class, column_class, column_count)
    coded = _uncertain(densities)[contexts]
    bits = mask.ravel()[coded].astype(np.intp)
    return b"".join(
        (
            bytes([row_count, column_count]),
            encode_symbols(row_class, row_count),
            encode_symbols(column_class, column_count),
            densities.astype("<u2").tobytes(),
            rans.encode(bits, _table(densities), contexts[coded]),
        )
    )


def _contexts(row_class: NDArray[Any], column_class: NDArray[Any], columns: int) -> NDArray[Any]:
    """Return for each bit, row by row, the number of its pair of classes."""
    pairs = row_class.astype(np.uint8)[:, np.newaxis] * np.uint8(columns)
    return (pairs + column_class.astype(np.uint8)).ravel()


def _uncertain(densities: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which pairs of classes have both zeros and ones; only their bits are coded."""
    return (densities > 0) & (densities < rans.WHOLE)


def _table(densities: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.stack((rans.WHOLE - densities, densities), axis=1)


def _counts(
    mask: NDArray[np.bool_], row_class: NDArray[np.intp], column_class: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many ones, and how many bits at all, each pair of classes has, flat."""
    rows = np.eye(int(row_class.max()) + 1)[row_class]
    columns = np.eye(int(column_class.max()) + 1)[column_class]
    ones = np.stack([mask[:, column.astype(bool)].sum(axis=1) for column in columns.T], axis=1)
    return (rows.T @ ones).ravel(), np.outer(rows.sum(axis=0), columns.sum(axis=0)).ravel()


def _densities(
    mask: NDArray[np.bool_], row_class: NDArray[np.intp], column_class: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the density of each pair, in parts of WHOLE; 0 and WHOLE only if it is exact."""
    ones, sizes = _counts(mask, row_class, column_class)
    near = np.rint(ones * rans.WHOLE / np.maximum(sizes, 1)).clip(1, rans.WHOLE - 1)
    exact = np.where(ones == 0, 0, np.where(ones == sizes, rans.WHOLE, near))
    return exact.astype(np.intp)


def _estimate(
    mask: NDArray[np.bool_], row_class: NDArray[np.intp], column_class: NDArray[np.intp]
) -> float:
    """Return how many bits the mask and its classes take, about."""
    ones, sizes = _counts(mask, row_class, column_class)
    bits = float((_bits(ones, sizes) + _bits(sizes - ones, sizes)).sum()) + 16 * len(sizes)
    for labels in (row_class, column_class):
        members = np.bincount(labels)
        if len(members) > 1:
            bits += entropy_bits(members) + 16 * len(members) + 48
    return bits


def _bits(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.divide(part, whole, out=np.ones_like(part), where=part > 0)
    return -part * np.log2(share)


def _classings(ones: NDArray[np.intp], width: int) -> list[NDArray[np.intp]]:
    """Return the lines' classes for each number of classes worth trying, a single one first."""
    alike = width < _NARROWEST or not ones.any()
    return [
        _classes(ones, width, count) for count in (_CLASS_COUNTS[:1] if alike else _CLASS_COUNTS)
    ]


def _classes(ones: NDArray[np.intp], width: int, count: int) -> NDArray[np.intp]:
    """Return the class of each line, ``(lines,)``: 0 up to at most ``count``, none of them empty.

    Lloyd's algorithm with the lines' code length for a distance, from classes of equal size.
    """
    lines = len(ones)
    labels = np.empty(lines, np.intp)
    labels[np.argsort(ones, kind="stable")] = np.arange(lines) * count // lines
    for _ in range(_ROUNDS if count > 1 else 0):
        members = np.maximum(np.bincount(labels, minlength=count), 1)
        share = np.bincount(labels, ones, minlength=count) / (members * width)
        safe = share.clip(1e-6, 1 - 1e-6)
        length = -np.outer(ones, np.log2(safe)) - np.outer(width - ones, np.log2(1 - safe))
        labels = length.argmin(axis=1)
    renumbered: NDArray[np.intp] = np.unique(labels, return_inverse=True)[1]
    return renumbered
