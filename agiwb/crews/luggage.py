"""How the argument of a piece of work travels to a machine that shares no files with this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agiwb.crews.crew import Ending


@dataclass(frozen=True)
class Luggage:
    """An argument on its way to a worker; a subclass brings along what the worker may lack."""

    argument: Any

    def arrive(self, folder: Path, threads: int) -> Any:
        """Return the argument as the work takes it on a worker.

        Args:
            folder: The worker's own, kept as long as it lives.
            threads: How many threads the worker has.
        """
        return self.argument

    def send_back(self, argument: Any, ending: Ending) -> Any:
        """Return what the work has left on the worker and shall come back, however it ended."""

    def unpack(self, ending: Ending, brought: Any) -> Ending:
        """Take in what came back, and return the ending as it is to be told here."""
        return ending
