"""One loaded version of a model: its signatures, and how to run one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.runtimes.runtime import Tensors
from agiwb.runtimes.served_signature import ServedSignature


@dataclass(frozen=True)
class RunTime:
    """A run's seconds: ``run_s`` whatever it holds, and ``row_s`` for each of its rows.

    By default nothing is known, and every run takes for ever.
    """

    row_s: float = math.inf
    run_s: float = 0.0

    def seconds(self, rows: int) -> float:
        """Return the seconds of a run of ``rows`` rows."""
        return self.run_s + rows * self.row_s

    def most_rows(self, within_s: float, limit: int) -> int:
        """Return the most rows, ``limit`` or fewer, of a run that takes ``within_s`` at most."""
        room_s = within_s - self.run_s
        if room_s < self.row_s:
            return 0
        return limit if room_s >= limit * self.row_s else int(room_s / self.row_s)


class Servable(Protocol):
    """A model in memory.

    Thread safety: ``run`` may be called from any thread. Ownership: the arrays returned are the
    caller's. After ``close`` nothing may be asked, and its memory is the system's again.

    Attributes:
        signatures: By name; ``serving_default`` is what a client means that names none.
        run_time: Of short batches, once warm.
        inline: Whether a short run may happen on the event loop (the engine holds no lock and
            asks no other process).
    """

    signatures: Mapping[str, ServedSignature]
    run_time: RunTime
    inline: bool

    def run(
        self,
        inputs: Tensors,
        signature_name: str = SIGNATURE_NAME,
        outputs: Sequence[str] = (),
    ) -> Tensors:
        """Return the outputs by name, in the signature's order; ``outputs`` names those wanted.

        Raises:
            InputError: A name, dtype or shape does not fit the signature.
            ServingError: The engine is gone, such as a child process that was killed.
        """
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...
