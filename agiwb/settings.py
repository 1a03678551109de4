"""What the environment decides: the ``AGIWB_*`` variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The environment's say, read anew at each use so that a notebook may change it."""

    model_config = SettingsConfigDict(env_prefix="AGIWB_", frozen=True)

    workspace: Path = Field(
        default_factory=lambda: project_root() / "workspace",
        description="Folder that holds all a run writes; by default ./workspace.",
    )
    tracking_uri: SecretStr | None = Field(
        None,
        description="MLflow tracking URI: a PostgreSQL database, which may have a password, or an "
        "MLflow server; by default SQLite inside the workspace.",
    )
    parent_run: str | None = Field(
        None, description="Run that started this process; recorded as the parent of its runs."
    )
    jobs: int = Field(
        1, ge=1, description="Detached jobs that run at once in a workspace; others wait."
    )
    warm: bool = Field(
        True, description="Keep a process ready that has the heavy libraries imported, for jobs."
    )
    job: str | None = Field(
        None, description="Job that started this process; jobs from inside it share its place."
    )
    scheduler: str | None = Field(
        None,
        description="Address of a Dask scheduler whose workers carry out searches, sweeps and "
        "matrices; by default processes of this machine do.",
    )
    artifacts: SecretStr | None = Field(
        None,
        description="Address of the object store that holds what a team shares, without "
        "credentials: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER; by default nothing "
        "leaves the workspace.",
    )
    optuna_storage: SecretStr | None = Field(
        None,
        description="URL of the database that keeps searches, which may have a password; by "
        "default SQLite inside the workspace.",
    )

    fresh: bool = Field(
        False, description="Carry out every step anew, whatever is known from before."
    )
    require_signature: Path | None = Field(
        None, description="Public key; artifacts that its owner has not signed are refused."
    )
    encryption_key_file: Path | None = Field(
        None, description="File with the key of encrypted artifacts."
    )
    encryption_key: SecretStr | None = Field(
        None, description="The key of encrypted artifacts itself; a file is kept more easily."
    )

    custom_objects: str | None = Field(
        None, description="Your own module with the classes that imported Keras models name."
    )
    model_scanner: Path | None = Field(
        None, description="ModelAudit's program, to be asked about models that are imported."
    )

    @field_validator("artifacts")
    @classmethod
    def _empty_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and value.get_secret_value().strip() else None

    @property
    def workspace_path(self) -> Path:
        """The workspace as an absolute path."""
        return self.workspace.expanduser().resolve()


def project_root() -> Path:
    """Return the root of the git checkout around the current folder, else that folder.

    A notebook's kernel starts in the notebook's own folder; it means the same workspace as the
    command line one folder up.
    """
    here = Path.cwd()
    return next((path for path in (here, *here.parents) if (path / ".git").exists()), here)
