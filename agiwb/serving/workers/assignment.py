"""What a worker process is told by the supervisor that starts it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

_VARIABLE = "AGIWB_SERVING_WORKER"


@dataclass(frozen=True)
class Assignment:
    """One worker's place.

    Attributes:
        index: Which worker it is, from 0.
        workers: How many there are.
        link: File descriptor of its end of the socket pair to the supervisor.
        gates: File descriptor of the memory that all share; see Gates.
    """

    index: int
    workers: int
    link: int
    gates: int

    def environment(self) -> Mapping[str, str]:
        """Return the variables that tell a process of its place."""
        return {_VARIABLE: json.dumps(asdict(self))}


def take_assignment() -> Assignment | None:
    """Return this process's place, once; None if it is not a worker."""
    told = os.environ.pop(_VARIABLE, None)
    return None if told is None else Assignment(**json.loads(told))
