"""Deleting runs so that they can be restored: hidden from MLflow, their files put aside."""

from __future__ import annotations

import shutil

from agiwb.errors import NotFoundError
from agiwb.runs.mlflow_client import first_line
from agiwb.runs.mlflow_closing import MlflowClosing


class MlflowDeletion(MlflowClosing):
    """The part of the run store that deletes and restores; see RunStore for the contract."""

    def delete(self, run_id: str) -> None:
        """Hide a run that has ended and put its files into the workspace's folder ``deleted``.

        Raises:
            NotFoundError: The history does not know it.
        """
        from mlflow.exceptions import MlflowException

        if self._shared is not None:
            self._shared.delete(run_id)
        try:
            self._client.delete_run(run_id)
        except MlflowException as error:
            raise _unknown(run_id, error) from None
        self._move(run_id, "artifacts", "deleted")

    def restore(self, run_id: str) -> None:
        """Undo ``delete``.

        Raises:
            NotFoundError: The history does not know it.
        """
        from mlflow.exceptions import MlflowException

        self._move(run_id, "deleted", "artifacts")
        try:
            self._client.restore_run(run_id)
        except MlflowException as error:
            raise _unknown(run_id, error) from None
        if self._shared is not None:
            self._shared.restore(run_id)

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
