"""Which version is loaded in which worker, and when all of them switch to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agiwb.serving.workers.gates import CLOSED, OPEN, WAITING, Gates

Tell = Callable[[int, str, str, int, str], None]
"""Tells a worker ``admit``, ``dismiss`` or ``hold_back``, with model, version and a reason."""


@dataclass
class _Entry:
    """One version: its slot, who has it loaded, and who could not load it, with the reason."""

    slot: int
    standing: set[int] = field(default_factory=set)
    failed: dict[int, str] = field(default_factory=dict)


class Switchboard:
    """Opens a version's gate once every worker that counts has it loaded.

    It belongs to the supervisor's loop: nothing in it is thread-safe. Workers are told by ``tell``,
    and only after the gate is open.

    Attributes:
        counted: The workers that a switch waits for: those that answer.
    """

    def __init__(self, gates: Gates, counted: set[int], tell: Tell) -> None:
        """Begin with no version.

        Args:
            gates: Shared by all workers.
            counted: The workers of the start: no version answers before all of them have it.
            tell: Tells a worker what became of a version.
        """
        self.counted = set(counted)
        self._gates = gates
        self._tell = tell
        self._entries: dict[tuple[str, int], _Entry] = {}
        self._free = list(range(len(gates) - 1, -1, -1))

    def place(self, name: str, number: int) -> int:
        """Return the slot of a version."""
        return self._entry(name, number).slot

    def stand_by(self, worker: int, name: str, number: int) -> None:
        """Note that ``worker`` can answer with the version."""
        entry = self._entry(name, number)
        entry.standing.add(worker)
        entry.failed.pop(worker, None)
        if self._gates[entry.slot] == OPEN:
            self._tell(worker, "admit", name, number, "")
            return
        if self._gates[entry.slot] == CLOSED:  # it was unloaded somewhere, and loaded again
            self._gates[entry.slot] = WAITING
        self._consider(name, number, entry)

    def fail(self, worker: int, name: str, number: int, reason: str) -> None:
        """Note that ``worker`` could not load the version: the others hold it back."""
        entry = self._entry(name, number)
        entry.standing.discard(worker)
        entry.failed[worker] = reason
        self._consider(name, number, entry)

    def withdraw(self, worker: int, name: str, number: int) -> None:
        """Let ``worker`` unload a version that it does not want, unless it answers already."""
        entry = self._entry(name, number)
        if self._gates[entry.slot] != OPEN:
            entry.standing.discard(worker)
            self._tell(worker, "dismiss", name, number, "")
            self._drop_if_idle(name, number, entry)

    def end(self, worker: int, name: str, number: int) -> None:
        """Note that ``worker`` has unloaded the version."""
        entry = self._entry(name, number)
        entry.standing.discard(worker)
        self._drop_if_idle(name, number, entry)

    def leave(self, worker: int) -> None:
        """Forget a worker that has ended; what waited only for it is switched to."""
        self.counted.discard(worker)
        for (name, number), entry in list(self._entries.items()):
            entry.standing.discard(worker)
            entry.failed.pop(worker, None)
            self._consider(name, number, entry)
            self._drop_if_idle(name, number, entry)

    def required(self) -> dict[str, list[int]]:
        """Return by model the versions that answer: what a worker needs before it may."""
        answering: dict[str, list[int]] = {}
        for (name, number), entry in sorted(self._entries.items()):
            if self._gates[entry.slot] == OPEN:
                answering.setdefault(name, []).append(number)
        return answering

    def join(self, worker: int) -> bool:
        """Count ``worker`` if it has loaded all that answers; return whether it is counted."""
        if all(
            worker in entry.standing
            for entry in self._entries.values()
            if self._gates[entry.slot] == OPEN
        ):
            self.counted.add(worker)
            return True
        return False

    def _consider(self, name: str, number: int, entry: _Entry) -> None:
        if self._gates[entry.slot] != WAITING or not entry.standing:
            return
        if self.counted <= entry.standing:
            self._gates[entry.slot] = OPEN
            for worker in sorted(entry.standing):
                self._tell(worker, "admit", name, number, "")
            return
        reason = " ".join(
            f"Worker {worker} cannot load it: {why}" for worker, why in sorted(entry.failed.items())
        )
        for worker in sorted(entry.standing):
            self._tell(worker, "hold_back", name, number, reason)

    def _entry(self, name: str, number: int) -> _Entry:
        entry = self._entries.get((name, number))
        if entry is None:
            entry = self._entries[name, number] = _Entry(self._free.pop())
            self._gates[entry.slot] = WAITING
        return entry

    def _drop_if_idle(self, name: str, number: int, entry: _Entry) -> None:
        """Free the slot of a version that no worker has."""
        if not entry.standing and not entry.failed:
            self._gates[entry.slot] = WAITING
            self._free.append(entry.slot)
            self._entries.pop((name, number), None)
