"""All that a step may touch outside its config."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.errors import CancelledError, WorkError
from agiwb.runs.events import Event, Pace
from agiwb.runs.record import MetricPoint, RunInfo

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

_FLUSH_S = 1.0


class Context:
    """A step's side of its run: it reports progress, keeps files, and asks whether to stop.

    Thread safety: ``progress``, ``say`` and ``log_metric`` are called from the step's own thread
    only. Ownership: the step owns ``files`` until it returns; then the store takes them.
    """

    def __init__(
        self,
        run: RunInfo,
        store: RunStore,
        files: Path,
        emit: Callable[[Event], None],
        cancelled: Callable[[], bool] = lambda: False,
        *,
        resumed: bool = False,
        fresh: bool = False,
    ) -> None:
        self.run = run
        self.store = store
        self.files = files
        """Folder whose content becomes the run's files; empty when the step begins."""
        self.checkpoint = files.with_name("checkpoint")
        """Folder for what a step needs to go on from where it was stopped.

        It outlives a cancelled, failed or killed run, and is removed once the run has finished.
        Write each file whole (a draft, then a rename): the process may be killed at any moment.
        """
        self.resumed = resumed
        """Whether an earlier process began this run; ``checkpoint`` holds what that one left."""
        self.fresh = fresh
        """Whether nothing that is older than this run may stand for a result."""
        self.cancelled = cancelled
        self._emit = emit
        self._pace = Pace()
        self._points: list[MetricPoint] = []
        self._next_flush = 0.0

    def say(self, message: str, **values: float) -> None:
        """Tell the user one thing, in a sentence, and figures that belong to it by their names."""
        self._emit(Event(message=message, values=values))

    def progress(self, phase: str, done: int, total: int, **values: float) -> None:
        """Report ``done`` of ``total`` in ``phase``; raise CancelledError if asked to stop.

        It may be called for each batch: about ten reports a second are passed on, and always the
        first and the last of a phase.
        """
        if self._pace.allows(phase, done, total):
            self._emit(Event(message="", phase=phase, done=done, total=total, values=values))
        self.stop_if_cancelled()

    def confirm(self, name: str, fingerprint: str) -> None:
        """Raise WorkError unless the input ``name`` is still what it was when the run was made.

        A reference such as ``latest`` may mean another model by the time a step has imported what
        it needs; its result must not be kept under the former's name.
        """
        if self.run.provenance.inputs[name] != fingerprint:
            raise WorkError(
                f"What this run was started on as `{name}` has been replaced meanwhile.",
                "Start it again.",
            )

    def log_metric(self, name: str, value: float, index: int) -> None:
        """Add one point of a curve (a metric after epoch ``index``) to the run's history.

        Points are written together, about once a second and when the run ends.
        """
        self._points.append(MetricPoint(name, value, index, datetime.now(UTC)))
        if time.monotonic() >= self._next_flush:
            self.flush()

    def flush(self) -> None:
        """Write the points that wait to be written."""
        points, self._points = self._points, []
        if points:
            self.store.log_metrics(self.run.id, points)
        self._next_flush = time.monotonic() + _FLUSH_S

    def stop_if_cancelled(self) -> None:
        """Raise CancelledError if the user has asked this run to stop."""
        if self.cancelled():
            raise CancelledError("The run was cancelled.")
