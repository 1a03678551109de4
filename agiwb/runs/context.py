"""All that a step may touch outside its config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.errors import CancelledError, WorkError
from agiwb.runs.events import Event
from agiwb.runs.record import RunInfo

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore


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
    ) -> None:
        self.run = run
        self.store = store
        self.files = files
        """Folder whose content becomes the run's files."""
        self.cancelled = cancelled
        self._emit = emit

    def say(self, message: str) -> None:
        """Tell the user one thing, in a sentence."""
        self._emit(Event(message=message))

    def progress(self, phase: str, done: int, total: int, **values: float) -> None:
        """Report ``done`` of ``total`` in ``phase``; raise CancelledError if asked to stop."""
        self._emit(Event(message="", phase=phase, done=done, total=total, values=values))
        self.stop_if_cancelled()

    def confirm(self, name: str, fingerprint: str) -> None:
        """Raise WorkError unless the input ``name`` is still what it was when the run was made.

        A reference such as ``latest`` may mean another model by the time a step has imported what
        it needs; its result must not be kept under the former's name.
        """
        if self.run.provenance.inputs[name] != fingerprint:
            raise WorkError(
                f"The {name} that this run was started on has been replaced meanwhile.",
                "Start it again.",
            )

    def log_metric(self, name: str, value: float, index: int) -> None:
        """Add one point of a curve (a metric after epoch ``index``) to the run's history."""
        self.store.log_metric(self.run.id, name, value, index)

    def stop_if_cancelled(self) -> None:
        """Raise CancelledError if the user has asked this run to stop."""
        if self.cancelled():
            raise CancelledError("The run was cancelled.")
