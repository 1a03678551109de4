"""TensorFlow's checkpoints of variables, as a SavedModel has one: an index and files of data.

The index is a table in LevelDB's format (``table_format.md`` there), uncompressed, from a name to a
``BundleEntryProto`` (TensorFlow's ``tensor_bundle.proto``), which says where the tensor lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.inspection.readers.protobuf_fields import fields, varint

_FOOTER_BYTES = 48
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies: ``dtype`` is TensorFlow's number."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size_bytes: int


class Checkpoint:
    """The tensors below a prefix such as ``variables/variables``."""

    def __init__(self, prefix: Path) -> None:
        """Read the index; raise ValueError if it is none, OSError if there is none."""
        self._prefix = prefix
        table = dict(_table(prefix.with_name(f"{prefix.name}.index").read_bytes()))
        header = dict(fields(table.pop(b"", b"")))
        self._shards = int(header.get(1, 1))
        self.entries = {name.decode(): _entry(value) for name, value in table.items()}

    def content(self, name: str) -> bytes:
        """Return the bytes of a tensor; raise ValueError if the data file is too short."""
        entry = self.entries[name]
        shard = f"{self._prefix.name}.data-{entry.shard:05d}-of-{self._shards:05d}"
        with self._prefix.with_name(shard).open("rb") as stream:
            stream.seek(entry.offset)
            content = stream.read(entry.size_bytes)
        if len(content) != entry.size_bytes:
            raise ValueError(f"{shard} is too short for {name}")
        return content

    def values(self, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return a tensor of numbers."""
        return np.frombuffer(self.content(name), dtype).reshape(self.entries[name].shape)

    def text(self, name: str) -> bytes:
        """Return a tensor of one string: its length, four bytes of checksum, and the string."""
        content = self.content(name)
        length, at = varint(content, 0)
        return content[at + 4 : at + 4 + length]


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and values, as the blocks that the index block lists have them."""
    footer = data[-_FOOTER_BYTES:]
    if not footer.endswith(_MAGIC):
        raise ValueError("the index of the variables is none")
    _, at = varint(footer, 0)  # the meta index, which is empty
    _, at = varint(footer, at)
    for _, handle in _block(data, *_handle(footer, at)):
        yield from _block(data, *_handle(handle, 0))


def _handle(data: bytes, at: int) -> tuple[int, int]:
    offset, at = varint(data, at)
    size, _ = varint(data, at)
    return offset, size


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield a block's entries: of a name only what differs from the one before is stored."""
    if data[offset + size] != 0:
        raise ValueError("the index of the variables is compressed")
    block = data[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    end, at, name = len(block) - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        name = name[:shared] + block[at : at + own]
        yield name, block[at + own : at + own + length]
        at += own + length


def _entry(message: bytes) -> Entry:
    found = dict(fields(message))
    shape = found.get(2, b"")
    sizes = [value for number, value in fields(_bytes(shape)) if number == 2]
    return Entry(
        dtype=int(found.get(1, 0)),
        shape=tuple(int(dict(fields(_bytes(size))).get(1, 0)) for size in sizes),
        shard=int(found.get(3, 0)),
        offset=int(found.get(4, 0)),
        size_bytes=int(found.get(5, 0)),
    )


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("an entry of the variables' index is damaged")  # noqa: TRY004  of bytes
    return value
