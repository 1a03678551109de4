"""Measuring latency: all candidates in turn, in one process of its own that may crash or hang.

Run it while nothing else of the sweep does.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from agiwb.compression.gate import plain_array
from agiwb.compression.hardware import Hardware, read_hardware
from agiwb.compression.latency import LatencyReport, compare_latency
from agiwb.compression.whereabouts import Whereabouts, read_whereabouts
from agiwb.errors import AgiwbError, CancelledError, WorkError
from agiwb.runtimes.fresh_process import Limits, call_in_fresh_process

_TWIN = "the baseline again"
_NO_LIMIT_S = 7 * 86_400.0
_STUCK_S = 120.0
"""A turn is a few calls of one candidate; what takes longer than this has hung."""


@dataclass(frozen=True)
class LatencyProtocol:
    """How latency is measured.

    Attributes:
        blocks: Rounds, in each of which every candidate has a turn.
        runs: Most inferences in a turn; slow candidates have fewer.
        seed: Of the order of turns.
        batch: Examples in a batch, for the second of the two measurements.
    """

    blocks: int
    runs: int
    seed: int
    batch: int = 32


@dataclass(frozen=True)
class TimingReport:
    """All times of a sweep's candidates.

    Attributes:
        single: With one example at a time.
        batch: With ``batch_size`` examples at a time.
        batch_size: Of the batches.
        load_ms: By name, milliseconds from the file to the first answer, in a process whose
            runtime is imported; the median of several.
        hardware: The kind of machine they were measured on, all of them on one.
    """

    single: LatencyReport
    batch: LatencyReport
    batch_size: int
    load_ms: dict[str, float]
    hardware: Hardware


class TimingError(WorkError):
    """The latency could not be measured; ``candidate`` is whose turn it was, if anybody's."""

    def __init__(self, problem: str, fix: str, candidate: str | None) -> None:
        super().__init__(problem, fix)
        self.candidate = candidate


def measure_latency(
    files: Mapping[str, Path],
    baseline: str,
    examples: NDArray[Any],
    protocol: LatencyProtocol,
    progress: Callable[[int, int], None],
) -> TimingReport:
    """Return the times of each file in ``files``, the ``baseline`` among them.

    Each round visits all candidates and the baseline's twin in a new random order, so that a slow
    moment of the machine strikes all alike. They share one thread, pinned to one core where the
    system allows it. What is timed is the inference alone: inputs and outputs lie in buffers that
    are bound beforehand. A file that takes no batches gets their examples one by one.

    Args:
        files: The ``.tflite`` or ``.onnx`` file of each candidate by name.
        baseline: Name of the one to compare with.
        examples: Real ones, ``(examples, *feature_shape)``; repeated if they are fewer than a
            batch.
        protocol: How often to measure.
        progress: Told how many of all rounds are done; if it raises, the process is ended.

    Raises:
        TimingError: The process crashed, or a candidate hung; the problem names the candidate.
    """
    names = [*files, _TWIN]
    with tempfile.TemporaryDirectory(prefix="agiwb-timing-") as place:
        folder = Path(place)
        batch = np.resize(plain_array(examples), (protocol.batch, *examples.shape[1:]))
        np.save(folder / "batch.npy", batch, allow_pickle=False)
        watch = _Watch(folder / "whereabouts", progress)
        arguments = {
            "files": [str(path.resolve()) for path in (*files.values(), files[baseline])],
            "folder": place,
            "protocol": asdict(protocol),
        }
        try:
            nanoseconds = call_in_fresh_process(
                "agiwb.compression.timing_process:measure",
                arguments,
                limits=Limits(_NO_LIMIT_S, psutil.virtual_memory().total),
                while_waiting=watch.look,
            )
        except CancelledError:
            raise
        except AgiwbError as error:
            at = watch.last()
            raise _told(error, [*files, baseline][at.turn] if at else None) from error
        if last := watch.last():
            progress(last.total, last.total)
    found = {
        kind: {name: np.array(rows) / 1e6 for name, rows in zip(names, times, strict=True)}
        for kind, times in nanoseconds.items()
    }
    return TimingReport(
        single=compare_latency(found["single"], baseline, _TWIN, protocol.seed),
        batch=compare_latency(found["batch"], baseline, _TWIN, protocol.seed),
        batch_size=protocol.batch,
        load_ms={name: float(np.median(found["load"][name])) for name in files},
        hardware=read_hardware(),
    )


class _Watch:
    """Looks where the measuring process is: tells its progress, and ends it if it is stuck."""

    def __init__(self, file: Path, progress: Callable[[int, int], None]) -> None:
        self._file, self._progress = file, progress
        self._seen: Whereabouts | None = None
        self._since = time.monotonic()

    def look(self) -> None:
        """Pass on the progress.

        Raises:
            WorkError: Nothing has changed for two minutes.
        """
        now = self.last()
        if now != self._seen:
            self._seen, self._since = now, time.monotonic()
        elif time.monotonic() - self._since > _STUCK_S:
            raise WorkError(f"It gave no answer within {_STUCK_S:g} s, and was ended.")
        if now:
            self._progress(now.done, now.total)

    def last(self) -> Whereabouts | None:
        """Return where the process was last; None if it has not begun."""
        return read_whereabouts(self._file)


def _told(error: AgiwbError, candidate: str | None) -> TimingError:
    """Return an error that says whose turn it was."""
    where = f" while `{candidate}` was measured" if candidate else ""
    return TimingError(
        f"The latency could not be measured{where}: {error.problem}",
        "Leave that candidate out of the sweep." if candidate else "",
        candidate,
    )
