"""One byte a version, in memory that all workers share: whether it may answer.

A message to each worker would reach one before the other, and a client that asks both could see a
new version and then the old one again. A byte in shared memory changes for all at once.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile

WAITING, OPEN, CLOSED = 0, 1, 2
_SIZE = 1 << 16


def make_gates() -> int:
    """Return the descriptor of new gates, all waiting; it is inherited as its user says."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("gates")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _SIZE)
    return descriptor


class Gates:
    """The bytes behind a descriptor, by slot.

    Thread and process safe: a byte is read and written as a whole.
    """

    def __init__(self, descriptor: int) -> None:
        """Map what ``make_gates`` made."""
        self.states = mmap.mmap(descriptor, _SIZE)

    def __len__(self) -> int:
        """Return how many slots there are."""
        return len(self.states)

    def __getitem__(self, slot: int) -> int:
        """Return WAITING, OPEN or CLOSED."""
        return self.states[slot]

    def __setitem__(self, slot: int, state: int) -> None:
        """Let all workers see ``state`` from now on."""
        self.states[slot] = state


class Gate:
    """The admission of one version; see agiwb.serving.servables.admission. Thread-safe."""

    __slots__ = ("_slot", "_states")

    def __init__(self, gates: Gates, slot: int) -> None:
        self._states = gates.states
        self._slot = slot

    @property
    def is_open(self) -> bool:
        """Whether the version may answer, in whichever worker."""
        return self._states[self._slot] == OPEN

    def close(self) -> None:
        """Have no worker answer with the version where it has another; not if it never opened."""
        if self.is_open:
            self._states[self._slot] = CLOSED
