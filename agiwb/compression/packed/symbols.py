"""Symbols of one distribution: their table of frequencies, then their code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.packed import rans
from agiwb.compression.packed.byte_reader import ByteReader, damaged, varint

LARGEST_ALPHABET = 4096


def entropy_bits(counts: NDArray[np.intp]) -> float:
    """Return how many bits all symbols take at least if coded one by one (Shannon 1948).

    Args:
        counts: How often each symbol occurs, any shape.
    """
    occurring = counts[counts > 0].astype(np.float64)
    total = occurring.sum()
    return float((occurring * (np.log2(total) - np.log2(occurring))).sum()) if total else 0.0


def encode_symbols(symbols: NDArray[np.intp], alphabet: int) -> bytes:
    """Return the frequencies of the ``alphabet`` symbols and the coded ``symbols``, ``(count,)``.

    A single symbol needs neither.
    """
    if alphabet == 1 or not len(symbols):
        return b""
    table = _frequencies(np.bincount(symbols, minlength=alphabet))
    code = rans.encode(symbols, table[np.newaxis], np.zeros(len(symbols), np.intp))
    return b"".join(varint(int(frequency)) for frequency in table) + code


def decode_symbols(reader: ByteReader, count: int, alphabet: int) -> NDArray[np.uint16]:
    """Return the ``count`` symbols that ``encode_symbols`` wrote.

    Raises:
        InputError: The bytes are no such code.
    """
    if alphabet == 1 or not count:
        return np.zeros(count, np.uint16)
    table = np.array([reader.varint() for _ in range(alphabet)], np.object_)
    if sum(table) != rans.WHOLE:
        raise damaged("a table of frequencies does not add up")
    return rans.decode(reader, count, table.astype(np.intp)[np.newaxis])


def _frequencies(counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return ``counts`` scaled to add up to WHOLE; none that was above 0 becomes 0."""
    exact = counts * (rans.WHOLE / counts.sum())
    scaled = np.where(counts > 0, np.maximum(exact.astype(np.intp), 1), 0)
    while (missing := rans.WHOLE - int(scaled.sum())) != 0:
        # Who gains most from one more, or loses least by one less, is next.
        order = np.argsort(exact / np.maximum(scaled, 1), kind="stable")
        if missing > 0:
            scaled[order[::-1][:missing]] += 1
        else:
            spare = order[scaled[order] > 1]
            scaled[spare[:-missing]] -= 1
    return scaled
