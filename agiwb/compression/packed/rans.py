"""Entropy coding with interleaved rANS: near the entropy, and fast in NumPy.

The range variant of asymmetric numeral systems (Duda 2013, arXiv:1311.2540) with many coders side
by side (Giesen 2014, arXiv:1402.3392). Symbol ``i`` belongs to coder ``i mod coders``, so that one
NumPy call moves all coders by one symbol, and a tensor of any size takes at most
``SYMBOLS_PER_CODER`` such steps. Huffman codes, as in Deep Compression (Han et al. 2016), spend at
least one bit a symbol, too much for a mask in which nine of ten bits are zeros.

A coder's state is a number in ``[2**16, 2**32)``; what outgrows it is written in words of 16 bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.packed.byte_reader import ByteReader, damaged, varint

PRECISION = 14
"""Bits of a frequency: those of all symbols of a context add up to ``WHOLE``."""

WHOLE = 1 << PRECISION

SYMBOLS_PER_CODER = 8192
"""Each coder's last state costs four bytes; each of its symbols costs a step of all coders."""

_WORD = np.uint64(16)
_LOWEST = np.uint64(1 << 16)
_ROOM = np.uint64(32 - PRECISION)
_SHIFT = np.uint64(PRECISION)
_SLOT = np.uint64(WHOLE - 1)


def encode(
    symbols: NDArray[np.intp], frequencies: NDArray[np.intp], contexts: NDArray[np.intp]
) -> bytes:
    """Return ``symbols``, coded; without symbols, nothing.

    Args:
        symbols: ``(count,)``, 0 up to the alphabet's size.
        frequencies: Of each symbol in each context, ``(contexts, alphabet)``; each row adds up to
            ``WHOLE``. A symbol that occurs has a frequency above 0.
        contexts: Which row of ``frequencies`` holds for which symbol, ``(count,)``.
    """
    count = len(symbols)
    if not count:
        return b""
    starts = np.cumsum(frequencies, axis=1) - frequencies
    shares = frequencies[contexts, symbols].astype(np.uint64)
    offsets = starts[contexts, symbols].astype(np.uint64)
    coders = _coders(count)
    states = np.full(coders, _LOWEST)
    words: list[NDArray[np.uint64]] = []
    for first in reversed(range(0, count, coders)):  # what is coded last is decoded first
        share, offset = shares[first : first + coders], offsets[first : first + coders]
        state = states[: len(share)]
        full = state >= share << _ROOM
        words.append(state[full] & np.uint64(0xFFFF))
        state = np.where(full, state >> _WORD, state)
        rounds, slot = np.divmod(state, share)
        states[: len(share)] = (rounds << _SHIFT) + slot + offset
    stream = np.concatenate(words[::-1])
    return states.astype("<u4").tobytes() + varint(len(stream)) + stream.astype("<u2").tobytes()


def decode(
    reader: ByteReader,
    count: int,
    frequencies: NDArray[np.intp],
    contexts: NDArray[np.intp] | None = None,
) -> NDArray[np.uint16]:
    """Return the ``count`` symbols that ``encode`` wrote; without contexts the first row holds.

    Raises:
        InputError: The bytes are no such code.
    """
    if not count:
        return np.empty(0, np.uint16)
    require_room(reader, count)
    coders = _coders(count)
    states = reader.array("<u4", coders).astype(np.uint64)
    words = reader.array("<u2", reader.varint()).astype(np.uint64)
    symbol_at, share_at, rest_at = _tables(frequencies)
    symbols = np.empty(count, np.uint16)
    used = 0
    for first in range(0, count, coders):
        last = min(first + coders, count)
        state = states[: last - first]
        place = state & _SLOT
        if contexts is not None:
            place += contexts[first:last].astype(np.uint64) << _SHIFT
        symbols[first:last] = symbol_at[place]
        state = share_at[place] * (state >> _SHIFT) + rest_at[place]
        empty = np.flatnonzero(state < _LOWEST)
        if len(empty):
            refill = words[used : used + len(empty)]
            if len(refill) < len(empty):
                raise damaged("a code ends too early")
            state[empty] = state[empty] << _WORD | refill
            used += len(empty)
        states[: last - first] = state
    if used < len(words) or (states != _LOWEST).any():
        raise damaged("a code does not end where it should")
    return symbols


def require_room(reader: ByteReader, count: int) -> None:
    """Raise InputError if ``reader`` is too short for a code of ``count`` symbols.

    To be asked before memory is taken for them: a count that lies may be any number.
    """
    if 4 * _coders(count) > reader.left:
        raise damaged(f"{count} symbols cannot be coded in {reader.left} bytes")


def _coders(count: int) -> int:
    return -(-count // SYMBOLS_PER_CODER)


def _tables(
    frequencies: NDArray[np.intp],
) -> tuple[NDArray[np.uint16], NDArray[np.uint64], NDArray[np.uint64]]:
    """Return for each slot of each context its symbol, the symbol's share, and its place in it."""
    contexts, alphabet = frequencies.shape
    flat = frequencies.ravel()
    symbol = np.tile(np.arange(alphabet, dtype=np.uint16), contexts).repeat(flat)
    share = flat.repeat(flat).astype(np.uint64)
    starts = np.cumsum(flat) - flat
    rest = np.arange(contexts * WHOLE, dtype=np.uint64) - starts.repeat(flat).astype(np.uint64)
    return symbol, share, rest
