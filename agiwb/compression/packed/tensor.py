"""One tensor, in whichever of the layouts makes it smallest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.packed.byte_reader import ByteReader, damaged, varint
from agiwb.compression.packed.mask import decode_mask, encode_mask
from agiwb.compression.packed.symbols import (
    LARGEST_ALPHABET,
    decode_symbols,
    encode_symbols,
    entropy_bits,
)
from agiwb.errors import InputError

DTYPES = (
    "float32",
    "float16",
    "float64",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "bool",
)
"""By their code in the file."""

_DENSE, _MASKED = 0, 1
_PLAIN, _HALF, _CODEBOOK = 0, 1, 2
_LAYOUTS = {_PLAIN: "plain", _HALF: "float16", _CODEBOOK: "codebook"}
_MOST_DIMENSIONS = 32
_LONGEST_NAME = 4096


@dataclass(frozen=True)
class TensorHead:
    """What a tensor's section says before the weights."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many elements there are."""
        return math.prod(self.shape)

    @property
    def plain_bytes(self) -> int:
        """Bytes of the elements as NumPy holds them."""
        return self.size * np.dtype(self.dtype).itemsize


def encode_tensor(name: str, values: NDArray[Any]) -> bytes:
    """Return the section of ``values``, of a dtype in ``DTYPES`` and any shape.

    Raises:
        InputError: The name is too long, or the dtype is none of these.
    """
    if values.dtype.name not in DTYPES:
        raise InputError(
            f"The tensor {name} has the dtype {values.dtype.name}, which cannot be packed.",
            f"Cast it to one of {', '.join(DTYPES)}.",
        )
    encoded = name.encode()
    if len(encoded) > _LONGEST_NAME:
        raise InputError(f"The tensor's name {name[:40]}… is too long.", "Give it a shorter one.")
    head = [
        varint(len(encoded)),
        encoded,
        bytes([DTYPES.index(values.dtype.name), values.ndim]),
        *map(varint, values.shape),
    ]
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    return b"".join(head) + min(_layouts(native), key=len)


def read_head(reader: ByteReader) -> TensorHead:
    """Return what comes before the weights, and leave ``reader`` there.

    Raises:
        InputError: It makes no sense.
    """
    length = reader.varint()
    if length > _LONGEST_NAME:
        raise damaged(f"a tensor's name is {length} bytes long")
    try:
        name = str(reader.take(length), "utf-8")
    except UnicodeDecodeError:
        raise damaged("a tensor's name is not UTF-8") from None
    code, dimensions = reader.byte(), reader.byte()
    if code >= len(DTYPES) or dimensions > _MOST_DIMENSIONS:
        raise damaged(f"the tensor {name} has dtype {code} and {dimensions} dimensions")
    return TensorHead(name, DTYPES[code], tuple(reader.varint() for _ in range(dimensions)))


def read_values(reader: ByteReader, head: TensorHead) -> tuple[NDArray[Any], str]:
    """Return the elements, in the head's shape and dtype, and what their layout is called.

    Raises:
        InputError: The bytes are no such tensor.
    """
    masked, layout = reader.byte(), reader.byte()
    if masked not in {_DENSE, _MASKED} or layout not in _LAYOUTS:
        raise damaged(f"the tensor {head.name} has the unknown layout {masked}, {layout}")
    called = ("mask + " if masked else "") + _LAYOUTS[layout]
    if not masked:
        bits = _read_dense(reader, head.size, head.dtype, layout)
    else:
        mask = decode_mask(reader, *_matrix(head.shape)).ravel()
        bits = np.zeros(head.size, _bits_of(head.dtype))
        bits[mask] = _read_dense(reader, int(np.count_nonzero(mask)), head.dtype, layout)
    reader.finish(f"the tensor {head.name}")
    if head.dtype == "bool" and (bits > 1).any():
        raise damaged(f"the tensor {head.name} holds more than true and false")
    return bits.view(head.dtype).reshape(head.shape), called


def bound_bytes(values: NDArray[Any]) -> float:
    """Return the bytes of ``values`` at the entropy of mask and indices, both of order zero.

    That is, each weight coded on its own; a codebook counts in full, and values without one as
    they are. Coding that looks at rows and columns may be smaller.
    """
    bits = values.ravel().view(_bits_of(values.dtype.name))
    kept = bits[bits != 0]
    _, counts = np.unique(kept, return_counts=True)
    mask = entropy_bits(np.array([len(bits) - len(kept), len(kept)])) / 8
    codebook = entropy_bits(counts) / 8 + len(counts) * bits.itemsize
    return float(min(mask + min(codebook, kept.nbytes), bits.nbytes))


def _layouts(values: NDArray[Any]) -> list[bytes]:
    """Return the elements in every layout that can hold them."""
    bits = values.ravel().view(_bits_of(values.dtype.name))
    kind = values.dtype.name
    written = [bytes([_DENSE, layout]) + code for layout, code in _dense_layouts(bits, kind)]
    mask = bits != 0
    if len(bits) and not mask.all():
        start = encode_mask(mask.reshape(_matrix(values.shape)))
        written += [
            bytes([_MASKED, layout]) + start + code
            for layout, code in _dense_layouts(bits[mask], kind)
        ]
    return written


def _dense_layouts(bits: NDArray[Any], dtype: str) -> list[tuple[int, bytes]]:
    """Return ``bits`` (unsigned integers, flat) in each layout that can hold them, with its code.

    A float32 goes into 16 bits only if it comes back with the same bits.
    """
    little = bits.astype(bits.dtype.newbyteorder("<"), copy=False)
    written = [(_PLAIN, little.tobytes())]
    if dtype == "float32":
        with np.errstate(all="ignore"):
            half = bits.view(np.float32).astype("<f2")
            back = half.astype(np.float32).view(np.uint32)
        if np.array_equal(back, bits):
            written.append((_HALF, half.tobytes()))
    codebook, indices = np.unique(little, return_inverse=True)
    if 0 < len(codebook) <= LARGEST_ALPHABET:
        code = varint(len(codebook)) + codebook.tobytes() + encode_symbols(indices, len(codebook))
        written.append((_CODEBOOK, code))
    return written


def _read_dense(reader: ByteReader, count: int, dtype: str, layout: int) -> NDArray[Any]:
    """Return ``count`` elements of ``dtype`` as unsigned integers of the same bits, flat."""
    unsigned = _bits_of(dtype)
    little = unsigned.newbyteorder("<").str
    if layout == _PLAIN:
        return reader.array(little, count).astype(unsigned)
    if layout == _HALF:
        if dtype != "float32":
            raise damaged(f"elements of {dtype} are said to be in 16-bit floats")
        with np.errstate(all="ignore"):
            return reader.array("<f2", count).astype(np.float32).view(unsigned)
    entries = reader.varint()
    if not 1 <= entries <= LARGEST_ALPHABET:
        raise damaged(f"a codebook has {entries} entries")
    codebook = reader.array(little, entries).astype(unsigned)
    return codebook[decode_symbols(reader, count, entries)]


def _bits_of(dtype: str) -> np.dtype[Any]:
    """Return the unsigned integer with as many bits."""
    return np.dtype(f"u{np.dtype(dtype).itemsize}")


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns: the last axis of a Keras kernel is that of its outputs."""
    columns = shape[-1] if shape else 1
    return math.prod(shape[:-1]), columns
