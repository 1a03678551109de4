"""Registered models on MLflow: names, versions, and the run that made each."""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from agiwb.errors import NotFoundError
from agiwb.runs.history_write import HistoryWrite, Registration
from agiwb.runs.history_writer import HistoryWriter
from agiwb.runs.mlflow_client import open_client
from agiwb.runs.outbox import Outbox
from agiwb.runs.postgres import pauses
from agiwb.runs.record import Record
from agiwb.runs.tracking_address import tracking_address

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from agiwb.runs.shared_runs import SharedRuns

_LISTED_MODELS = 1000
_WRITE = "agiwb.write"
"""Tag of a version: the key of the write that made it."""


class MlflowModels:
    """The part of the run store that knows models; see RunStore for the contract.

    MLflow takes seconds to import and is opened when first needed.
    """

    def __init__(
        self,
        workspace: Path,
        tracking_uri: SecretStr | None = None,
        shared: SharedRuns | None = None,
    ) -> None:
        self.workspace = workspace
        self._shared = shared
        self._address = tracking_address(tracking_uri, workspace)
        self._writer = HistoryWriter(self._address, Outbox.of(workspace), self._apply)

    @functools.cached_property
    def _client(self) -> MlflowClient:
        return open_client(self.workspace, self._address)

    def behind(self) -> str:
        """Return in a sentence that the history is behind what this workspace has; "" if not."""
        return self._writer.behind()

    def register_model(self, name: str, record: Record) -> None:
        """Make ``record``'s model the newest version of ``name``, unless it is that already."""
        run = record.run
        self._writer.write(Registration(name=name, run_id=run.id, source=str(run.folder)))

    def _apply(self, write: HistoryWrite) -> None:
        if isinstance(write, Registration):
            self._register(write)
        else:
            write.apply(self._client)

    def _register(self, wanted: Registration) -> None:
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # the name exists already
            self._client.create_registered_model(wanted.name)
        waits = pauses()
        while True:
            versions = self._versions(wanted.name)
            if versions and versions[max(versions)] == wanted.run_id:
                return
            found = self._client.search_model_versions(f"name = '{wanted.name}'")
            if any(entry.tags.get(_WRITE) == wanted.key for entry in found):
                return  # by somebody who was killed before he could say so
            try:
                self._client.create_model_version(
                    wanted.name, wanted.source, wanted.run_id, tags={_WRITE: wanted.key}
                )
            except MlflowException as error:  # many others took the number it was to have
                wait = next(waits, None) if error.error_code == "INTERNAL_ERROR" else None
                if wait is None:
                    raise
                time.sleep(wait)
            else:
                return

    def registered_run(self, name: str, version: str | None = None) -> str:
        """Return the id of the run that made a registered model's version, by default the last."""
        versions = self._versions(name)
        last = str(max(versions, default=0))
        wanted = int(text) if (text := version or last).isdecimal() else 0
        if wanted not in versions:
            raise NotFoundError(
                f"The workspace {self.workspace} has no model {name!r}"
                + (f" version {version}." if version else "."),
                f"Registered: {', '.join(self.registered_names()) or 'none yet'}. "
                "`agiwb train` makes one.",
            )
        return versions[wanted]

    def registered_versions(self, name: str) -> dict[int, str]:
        """Return the run of each version of a registered model, the first version first."""
        return dict(sorted(self._versions(name).items()))

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Have ``name@alias`` mean a version of a registered model, or with None nothing."""
        if version is None:
            self._client.delete_registered_model_alias(name, alias)
        else:
            self._client.set_registered_model_alias(name, alias, str(version))

    def aliased_version(self, name: str, alias: str) -> str:
        """Return the number of the version that ``name@alias`` means.

        Raises:
            NotFoundError: There is no such alias.
        """
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_model_version_by_alias(name, alias).version)
        except MlflowException as error:
            if error.error_code not in {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}:
                raise  # the history itself cannot be read
            raise NotFoundError(
                f"No version of {name!r} is its {alias}.",
                f"`agiwb history {name}` shows what was decided; `agiwb promote {name}` decides.",
            ) from None

    def newest_model(self) -> str | None:
        """Return the id of the run whose model was registered last, under whatever name."""
        found = self._client.search_model_versions(order_by=["creation_timestamp DESC"])
        deleted = self._deleted()
        runs = (str(version.run_id) for version in found)
        return next((run for run in runs if run not in deleted), None)

    def registered_names(self) -> list[str]:
        """Return the names of all registered models, sorted."""
        found = self._client.search_registered_models(max_results=_LISTED_MODELS)
        return sorted(model.name for model in found)

    def _versions(self, name: str) -> dict[int, str]:
        """Return the run of each version of a registered model; none if there is no such model."""
        from mlflow.exceptions import MlflowException

        if "'" in name:  # MLflow's filters know no escape
            return {}
        try:
            found = self._client.search_model_versions(f"name = '{name}'")
        except MlflowException:
            return {}
        versions = {int(entry.version): str(entry.run_id) for entry in found}
        deleted = self._deleted()
        return {number: run for number, run in versions.items() if run not in deleted}

    def _deleted(self) -> set[str]:
        """Return the ids of the runs that were deleted, here or by those we share runs with."""
        here = {path.name for path in self.workspace.glob("deleted/*/*")}
        return here | self._shared.deleted() if self._shared is not None else here
