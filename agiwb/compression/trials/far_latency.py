"""Measuring latency on one worker of a Dask cluster, of the kind that will run the model."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agiwb.compression.timing import LatencyProtocol, TimingError, TimingReport, measure_latency
from agiwb.compression.trials.assignment import candidate_code
from agiwb.compression.trials.making import OtherVersionError
from agiwb.crews.crew import Died, Line, Raised


@dataclass(frozen=True)
class TimingOrder:
    """What is to be measured; see ``timing.measure_latency``.

    Attributes:
        files: By candidate, the name and the content of its file.
        baseline: The one to compare with.
        examples: Real ones.
        protocol: How to measure.
        code: ``candidate_code`` of whoever gives the order.
    """

    files: dict[str, tuple[str, bytes]]
    baseline: str
    examples: NDArray[Any]
    protocol: LatencyProtocol
    code: str


@dataclass(frozen=True)
class Unmeasured:
    """A ``TimingError`` as it travels."""

    problem: str
    fix: str
    candidate: str | None


@dataclass(frozen=True)
class FarLatency:
    """Measures on a worker: all candidates in turn on the same one, whose kind the report names.

    Attributes:
        scheduler: Address of Dask's.
        kind: The resource that the worker must have.
        stop_if_cancelled: Raises if the user has asked to stop.
    """

    scheduler: str
    kind: str
    stop_if_cancelled: Callable[[], None]

    def __call__(
        self,
        files: Mapping[str, Path],
        baseline: str,
        examples: NDArray[Any],
        protocol: LatencyProtocol,
        progress: Callable[[int, int], None],
    ) -> TimingReport:
        """Return the report; see ``timing.measure_latency``.

        Raises:
            ConfigError: No worker has the resource.
            TimingError: The measurement failed, or its worker was lost each time.
        """
        from agiwb.crews.dask_crew import DaskCluster

        contents = {name: (path.name, path.read_bytes()) for name, path in files.items()}
        order = TimingOrder(contents, baseline, examples, protocol, candidate_code())

        def told(_number: int, said: tuple[int, int]) -> None:
            progress(*said)

        crew = DaskCluster(self.scheduler, 1, get_ready, kind=self.kind)
        with contextlib.closing(crew):
            crew.start(0, measure_there, order)
            while not (endings := crew.wait(told, self.stop_if_cancelled)):
                pass
        ending = endings[0]
        if isinstance(ending, Raised):
            raise ending.error
        if isinstance(ending, Died):
            raise TimingError(ending.reason, "", None)
        found: TimingReport | Unmeasured = ending.value
        if isinstance(found, Unmeasured):
            raise TimingError(found.problem, found.fix, found.candidate)
        return found


def get_ready() -> None:
    """Need nothing: what is timed runs in a fresh process."""


def measure_there(order: TimingOrder, line: Line) -> TimingReport | Unmeasured:
    """Return the times on this very machine.

    Raises:
        OtherVersionError: This machine has other code.
    """
    if order.code != candidate_code():
        raise OtherVersionError(
            "The worker that measures latency has another version of agiwb than the sweep.",
            "Install the same on all workers.",
        )
    with tempfile.TemporaryDirectory(prefix="agiwb-timing-") as place:
        files = {}
        for number, (name, (file_name, content)) in enumerate(order.files.items()):
            files[name] = Path(place) / str(number) / file_name
            files[name].parent.mkdir()
            files[name].write_bytes(content)
        try:
            return measure_latency(
                files,
                order.baseline,
                order.examples,
                order.protocol,
                lambda done, total: line.tell((done, total)),
            )
        except TimingError as error:
            return Unmeasured(error.problem, error.fix, error.candidate)
