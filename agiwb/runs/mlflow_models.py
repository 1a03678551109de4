"""Registered models on MLflow: names, versions, and the run that made each."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.errors import NotFoundError
from agiwb.runs.mlflow_client import open_client
from agiwb.runs.record import Record

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_LISTED_MODELS = 1000


class MlflowModels:
    """The part of the run store that knows models; see RunStore for the contract.

    MLflow takes seconds to import and is opened when first needed.
    """

    def __init__(self, workspace: Path, tracking_uri: str | None = None) -> None:
        self.workspace = workspace
        self._tracking_uri = tracking_uri or f"sqlite:///{workspace / 'mlflow.db'}"

    @functools.cached_property
    def _client(self) -> MlflowClient:
        return open_client(self.workspace, self._tracking_uri)

    def register_model(self, name: str, record: Record) -> None:
        """Make ``record``'s model the newest version of ``name``, unless it is that already."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # the name exists already
            self._client.create_registered_model(name)
        versions = self._versions(name)
        if not versions or versions[max(versions)] != record.run.id:
            self._client.create_model_version(
                name, source=str(record.run.folder), run_id=record.run.id
            )

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
        runs = (str(version.run_id) for version in found)
        return next((run for run in runs if not self._is_deleted(run)), None)

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
        return {number: run for number, run in versions.items() if not self._is_deleted(run)}

    def _is_deleted(self, run_id: str) -> bool:
        return any(self.workspace.glob(f"deleted/*/{run_id}"))
