"""What the environment decides: the ``AGIWB_*`` variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The environment's say, read anew at each use so that a notebook may change it."""

    model_config = SettingsConfigDict(env_prefix="AGIWB_", frozen=True)

    workspace: Path = Field(
        default_factory=lambda: project_root() / "workspace",
        description="Folder that holds all a run writes; by default ./workspace.",
    )
    tracking_uri: str | None = Field(
        None, description="MLflow tracking URI; by default SQLite inside the workspace."
    )
    parent_run: str | None = Field(
        None, description="Run that started this process; recorded as the parent of its runs."
    )

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
