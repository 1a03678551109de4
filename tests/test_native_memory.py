"""Blocks that are freed leave the process; with those that glibc keeps it would be as large."""

from __future__ import annotations

import subprocess
import sys

import pytest

_FREES = """
import ctypes, sys
from agiwb.native_memory import given_back_at_once
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def held():
    words = open("/proc/self/statm").read().split()
    return int(words[1]) * 4096
def take_and_free():
    blocks = [libc.malloc(2**20) for _ in range(200)]
    for block in blocks:
        ctypes.memset(block, 1, 2**20)
    keep = libc.malloc(2**20)  # above the others on the heap, if they are there: no gap is so wide
    for block in blocks:
        libc.free(block)
libc.mallopt(-3, 32 * 2**20)  # what glibc learns from a large block that is freed; it learns
libc.mallopt(-1, 64 * 2**20)  # nothing where MALLOC_TRIM_THRESHOLD_ is set, as Dask's workers do
before = held()
if sys.argv[1] == "given back":
    with given_back_at_once():
        take_and_free()
else:
    take_and_free()
print(held() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
@pytest.mark.parametrize(("way", "least", "most"), [("given back", -20, 20), ("kept", 100, 400)])
def test_freed_blocks(way: str, least: int, most: int) -> None:
    words = [sys.executable, "-c", _FREES, way]
    told = subprocess.run(words, capture_output=True, text=True, check=True)
    assert least <= int(told.stdout) / 2**20 <= most
