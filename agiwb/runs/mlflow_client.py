"""Opening MLflow: its tables made once, its chatter off, its errors in a sentence."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.errors import WorkspaceError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def open_client(workspace: Path, uri: str) -> MlflowClient:
    """Return MLflow's client on ``uri``, its tables made under a lock in the workspace."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from filelock import FileLock
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("mlflow", "alembic"):  # after the import, which sets its own level
        logging.getLogger(name).setLevel(logging.WARNING)

    try:
        # Two processes that make the tables at once would both fail.
        with FileLock(workspace / ".mlflow.lock"):
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise WorkspaceError(
            f"The run history {uri} cannot be opened: {first_line(error)}",
            "If the file is damaged, move it away: the workspace then begins a new history.",
        ) from error
    return client


def first_line(error: Exception) -> str:
    """Return what an error says, without the pages that some libraries add."""
    return str(error).strip().splitlines()[0]
