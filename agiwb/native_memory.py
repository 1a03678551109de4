"""Memory that native code has freed, given back to the system at once."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""
_AT_ONCE = 128 * 2**10
"""Bytes; what glibc begins with. A larger block is mapped by itself, and unmapped when freed."""
_LATER = 32 * 2**20
"""Bytes; as far as glibc itself raises it for a program that frees large blocks."""


@contextlib.contextmanager
def given_back_at_once() -> Iterator[None]:
    """Have large blocks leave the process when they are freed, rather than wait to be used again.

    For converters, which take and free all of a model's weights several times over: from each
    block that is freed glibc learns to keep the next one. Afterwards it keeps them, which is
    faster. The setting is the whole process's. Elsewhere than with glibc nothing happens.
    """
    libc = None if sys.platform == "win32" else ctypes.CDLL(None)
    if libc is None or not hasattr(libc, "malloc_trim"):
        yield
        return
    _set(libc, _AT_ONCE)
    try:
        yield
    finally:
        _set(libc, _LATER)
        libc.malloc_trim(0)


def _set(libc: ctypes.CDLL, threshold: int) -> None:
    libc.mallopt(_MMAP_THRESHOLD, threshold)
    libc.mallopt(_TRIM_THRESHOLD, 2 * threshold)
