"""Objects whose sizes are known from a listing, as a filesystem for Arrow and DuckDB to read.

Both ask for a file's size and time again and again; over a network each answer takes as long as
reading would. An object that is never replaced has the same ones for as long as it is there.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.spec import AbstractBufferedFile

_BLOCK_BYTES = 1 << 20
_KEPT_BLOCKS = 32
_NEVER_CHANGED = datetime(1970, 1, 1, tzinfo=UTC)


class KnownObjects(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """Reads objects of another filesystem.

    Thread safety: as that one's.
    """

    cachable = False

    def __init__(self, filesystem: Any, sizes: Mapping[str, int]) -> None:
        """Take the filesystem, and the bytes of each object by its path there."""
        super().__init__()
        self.protocol = filesystem.protocol
        self._filesystem = filesystem
        self._sizes = sizes
        self._block = functools.lru_cache(_KEPT_BLOCKS)(self._fetch_block)

    def _strip_protocol(self, path: str) -> str:
        """Return a path as ``sizes`` has it; for fsspec, a method of the class."""
        return str(self._filesystem._strip_protocol(path))  # noqa: SLF001  fsspec's own way

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return the size of an object; raise FileNotFoundError for one that is not known."""
        name = self._strip_protocol(path)
        if name not in self._sizes:
            raise FileNotFoundError(name)
        return {"name": name, "size": self._sizes[name], "type": "file"}

    def modified(self, path: str) -> datetime:
        """Return when an object was written, as far as anyone can tell: it never changes."""
        return _NEVER_CHANGED

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Return an object's bytes from ``start`` to ``end``, small ones from memory."""
        name = self._strip_protocol(path)
        size = self.info(name)["size"]
        first, last = start or 0, size if end is None else min(end, size)
        if last - first > _BLOCK_BYTES:
            content: bytes = self._filesystem.cat_file(name, start=first, end=last)
            return content
        begin = first // _BLOCK_BYTES
        places = range(begin, -(-last // _BLOCK_BYTES))
        held = b"".join(self._block(name, place) for place in places)
        return held[first - begin * _BLOCK_BYTES : last - begin * _BLOCK_BYTES]

    def _fetch_block(self, name: str, place: int) -> bytes:
        start = place * _BLOCK_BYTES
        end = min(start + _BLOCK_BYTES, self._sizes[name])
        content: bytes = self._filesystem.cat_file(name, start=start, end=end)
        return content

    def _open(self, path: str, mode: str = "rb", **_: Any) -> AbstractBufferedFile:
        return AbstractBufferedFile(self, path, mode, cache_type="none")
