"""How large a file that is imported may be, in all the ways that a file can be large."""

from __future__ import annotations

from agiwb.runtimes.fresh_process import Limits

MIB = 2**20
GIB = 2**30

LARGEST_FILE = 8 * GIB
"""Bytes of one file."""
LARGEST_TOTAL = 16 * GIB
"""Bytes of all files of a model, unpacked."""
MOST_FILES = 10_000
LARGEST_CONFIG = 64 * MIB
"""Bytes of a JSON description: the largest of Keras' own applications has 1 MiB."""
LARGEST_GRAPH = 2 * GIB
"""Bytes of a protobuf or flatbuffer, whose own offsets reach no further."""
FREE_RATIO = 100 * MIB
"""Bytes below which unpacking is never thought a bomb."""
HIGHEST_RATIO = 100
"""Unpacked bytes per packed one; weights seldom pack better than 10 to 1."""
DEEPEST = 200
"""Levels of nesting in a description."""
LARGEST_TENSOR = 2**40
"""Elements of one tensor."""

INSPECTION = Limits(seconds=120.0, memory_bytes=6 * GIB)
"""What a fresh process may take to look into a file, or to load it."""
