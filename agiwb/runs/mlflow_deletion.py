"""Deleting runs so that they can be restored: hidden from MLflow, their files put aside."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator

from agiwb.errors import NotFoundError, WorkspaceError
from agiwb.runs.mlflow_client import first_line
from agiwb.runs.mlflow_closing import MlflowClosing


class MlflowDeletion(MlflowClosing):
    """The part of the run store that deletes and restores; see RunStore for the contract."""

    def delete(self, run_id: str) -> None:
        """Hide a run that has ended and put its files into the workspace's folder ``deleted``.

        All of it or nothing: a history or an object store that is away is told of.

        Raises:
            NotFoundError: The history does not know it.
            WorkspaceError: The history or the object store cannot be written.
        """
        with self._marking(run_id, self._client.delete_run, self._client.restore_run):
            if self._shared is not None:
                self._shared.delete(run_id)
            self._move(run_id, "artifacts", "deleted")

    def restore(self, run_id: str) -> None:
        """Undo ``delete``; all of it or nothing, likewise.

        Raises:
            NotFoundError: The history does not know it.
            WorkspaceError: The history or the object store cannot be written.
        """
        with self._marking(run_id, self._client.restore_run, self._client.delete_run):
            self._move(run_id, "deleted", "artifacts")
            try:
                if self._shared is not None:
                    self._shared.restore(run_id)
            except WorkspaceError:
                self._move(run_id, "artifacts", "deleted")
                raise

    @contextlib.contextmanager
    def _marking(
        self, run_id: str, mark: Callable[[str], object], unmark: Callable[[str], object]
    ) -> Iterator[None]:
        """Mark a run in the history, which is what may be refused; undone if the rest fails."""
        from mlflow.exceptions import MlflowException

        try:
            mark(run_id)
        except MlflowException as error:
            raise _unknown(run_id, error) from None
        try:
            yield
        except BaseException:
            with contextlib.suppress(WorkspaceError):
                unmark(run_id)
            raise

    def _move(self, run_id: str, origin: str, target: str) -> None:
        for folder in self.workspace.glob(f"{origin}/*/{run_id}"):
            place = self.workspace / target / folder.parent.name / run_id
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(folder, place)


def _unknown(run_id: str, error: Exception) -> NotFoundError:
    return NotFoundError(
        f"The history does not know run {run_id}: {first_line(error)}",
        "`agiwb runs list` shows those it does.",
    )
