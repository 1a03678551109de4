"""The packed file as a whole: a header, the architecture, and a section for each tensor.

``FORMAT.md`` describes it to the byte. Reading needs NumPy alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.packed.byte_reader import ByteReader, damaged
from agiwb.compression.packed.tensor import (
    TensorHead,
    bound_bytes,
    encode_tensor,
    read_head,
    read_values,
)
from agiwb.compression.packed.text import deflate, inflate
from agiwb.errors import InputError

MAGIC = b"AGWP"
VERSION = 1

_HEADER = struct.Struct("<4sHHI")
_CHECKSUM = struct.Struct("<I")
_SECTION = struct.Struct("<II")
_MOST_SECTION_BYTES = 2**32 - 1
_ZERO_SIGNS_DROPPED = 1

_ALWAYS_ALLOWED_BYTES = 64 * 2**20
_LARGEST_RATIO = 2000
"""A reader takes no memory for more than these: a short file that claims much more is lying."""


@dataclass(frozen=True)
class PackedTensor:
    """What one tensor takes.

    Attributes:
        name: Its name.
        dtype: NumPy's name of its elements' type.
        shape: Its shape.
        layout: How it is stored: ``plain``, ``float16`` or ``codebook``, after ``mask +`` if
            zeros are left out.
        zeros: How many elements are zero.
        distinct: How many different values the others have.
        packed_bytes: Bytes of its section, without the section's own length and checksum.
        plain_bytes: Bytes of the elements as they were.
        bound_bytes: The entropy bound; see ``tensor.bound_bytes``.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    zeros: int
    distinct: int
    packed_bytes: int
    plain_bytes: int
    bound_bytes: float


@dataclass(frozen=True)
class PackedFile:
    """What a packed model takes, part by part.

    Attributes:
        version: The format's version.
        zero_signs_kept: False if zeros of either sign were stored as positive ones.
        total_bytes: The whole file.
        framing_bytes: The header, and each section's length and checksum.
        architecture_bytes: The architecture, compressed.
        tensors: The tensors in order.
    """

    version: int
    zero_signs_kept: bool
    total_bytes: int
    framing_bytes: int
    architecture_bytes: int
    tensors: tuple[PackedTensor, ...]

    @property
    def plain_bytes(self) -> int:
        """Bytes of all tensors as they were."""
        return sum(tensor.plain_bytes for tensor in self.tensors)

    @property
    def bound_bytes(self) -> float:
        """The entropy bound of all tensors, without architecture and framing."""
        return sum(tensor.bound_bytes for tensor in self.tensors)

    @property
    def ratio(self) -> float:
        """How many times smaller the whole file is than the tensors were."""
        return self.plain_bytes / self.total_bytes


def pack_arrays(
    arrays: Mapping[str, NDArray[Any]], architecture: str = "", *, keep_zero_signs: bool = True
) -> bytes:
    """Return ``arrays``, in their order, and ``architecture`` (any text) as a packed file.

    Everything comes back bit for bit, except that without ``keep_zero_signs`` each -0.0 of a float
    becomes 0.0, its equal.

    Raises:
        InputError: A dtype cannot be packed, or a tensor is too large for a section.
    """
    sections = [deflate(architecture)]
    for name, values in arrays.items():
        kept = values if keep_zero_signs else _positive_zeros(values)
        sections.append(encode_tensor(name, kept))
    header = _HEADER.pack(
        MAGIC, VERSION, 0 if keep_zero_signs else _ZERO_SIGNS_DROPPED, len(arrays)
    )
    pieces = [header, _CHECKSUM.pack(zlib.crc32(header))]
    for section in sections:
        if len(section) > _MOST_SECTION_BYTES:
            raise InputError("A tensor is larger than 4 GiB.", "Split it before packing.")
        length = struct.pack("<I", len(section))
        pieces += [length, _CHECKSUM.pack(zlib.crc32(section, zlib.crc32(length))), section]
    packed = b"".join(pieces)
    if sum(values.nbytes for values in arrays.values()) > _allowed_bytes(packed):
        raise InputError(
            f"The tensors are more than {_LARGEST_RATIO} times larger than what they hold.",
            "Leave out the layers whose weights are all alike.",
        )
    return packed


def unpack(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a packed file by name, in the order in which they were packed.

    Raises:
        InputError: ``content`` is no packed file, one of a later version, or a damaged one.
    """
    return {head.name: values for head, values, _, _ in _tensors(content)}


def read_architecture(content: bytes) -> str:
    """Return the architecture of a packed file, empty if it has none.

    Raises:
        InputError: ``content`` is no packed file, one of a later version, or a damaged one.
    """
    _, _, sections = _open(content)
    return inflate(next(sections))


def describe(content: bytes) -> PackedFile:
    """Return what each part of a packed file takes.

    Raises:
        InputError: ``content`` is no packed file, one of a later version, or a damaged one.
    """
    flags, count, sections = _open(content)
    architecture = next(sections)
    tensors = tuple(
        _described(head, values, layout, size) for head, values, layout, size in _tensors(content)
    )
    return PackedFile(
        version=VERSION,
        zero_signs_kept=not flags & _ZERO_SIGNS_DROPPED,
        total_bytes=len(content),
        framing_bytes=_HEADER.size + _CHECKSUM.size + _SECTION.size * (count + 1),
        architecture_bytes=len(architecture),
        tensors=tensors,
    )


def _described(head: TensorHead, values: NDArray[Any], layout: str, size: int) -> PackedTensor:
    bits = values.ravel().view(f"u{values.itemsize}")
    kept = bits[bits != 0]
    return PackedTensor(
        name=head.name,
        dtype=head.dtype,
        shape=head.shape,
        layout=layout,
        zeros=len(bits) - len(kept),
        distinct=len(np.unique(kept)),
        packed_bytes=size,
        plain_bytes=head.plain_bytes,
        bound_bytes=bound_bytes(values),
    )


def _tensors(content: bytes) -> Iterator[tuple[TensorHead, NDArray[Any], str, int]]:
    """Yield each tensor: its head, elements, layout and the bytes of its section."""
    _, _, sections = _open(content)
    next(sections)  # the architecture
    allowed, names = _allowed_bytes(content), set()
    for section in sections:
        reader = ByteReader(section)
        head = read_head(reader)
        allowed -= head.plain_bytes
        if allowed < 0 or max(head.shape, default=0) > _allowed_bytes(content):
            raise damaged(f"the tensor {head.name} claims the shape {head.shape}")
        if head.name in names:
            raise damaged(f"two tensors are called {head.name}")
        names.add(head.name)
        values, layout = read_values(reader, head)
        yield head, values, layout, len(section)


def _open(content: bytes) -> tuple[int, int, Iterator[memoryview]]:
    """Return the flags, the number of tensors, and the sections, the architecture's first."""
    reader = ByteReader(content)
    if bytes(reader.take(min(4, reader.left))) != MAGIC:
        raise InputError(
            "This is no packed model: it does not begin with AGWP.",
            "Give the bytes that `pack` returned.",
        )
    reader = ByteReader(content)
    header = reader.take(_HEADER.size)
    (checksum,) = _CHECKSUM.unpack(reader.take(_CHECKSUM.size))
    if checksum != zlib.crc32(header):
        raise damaged("the checksum of its header does not fit")
    _, version, flags, count = _HEADER.unpack(header)
    if version != VERSION or flags & ~_ZERO_SIGNS_DROPPED:
        raise InputError(
            f"The packed model has version {version} of the format; this is version {VERSION}.",
            "Read it with the version of agiwb that wrote it.",
        )
    return flags, count, _sections(reader, count + 1)


def _sections(reader: ByteReader, count: int) -> Iterator[memoryview]:
    for number in range(count):
        length, checksum = _SECTION.unpack(reader.take(_SECTION.size))
        section = reader.take(length)
        if checksum != zlib.crc32(section, zlib.crc32(struct.pack("<I", length))):
            raise damaged(f"the checksum of section {number} does not fit")
        yield section
    reader.finish("the last section")


def _allowed_bytes(content: bytes) -> int:
    return max(_ALWAYS_ALLOWED_BYTES, _LARGEST_RATIO * len(content))


def _positive_zeros(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind != "f":
        return values
    return np.where(values == 0, values.dtype.type(0), values)
